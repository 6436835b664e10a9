"""Data that the project makes for itself, with a known best result."""

from saccade.pipelines.synthesize.histories import write_histories

__all__ = ["write_histories"]
