"""Ray Train's trainer without the helpers that are of no use here, each of which is a process to start.

A launch on two cores takes 10.8 s instead of 13.0 from start to end, and 11.5 s of the processors instead of 14.1
(``benchmarks/launch.py``).
"""

from __future__ import annotations

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy


class Trainer(TorchTrainer):  # type: ignore[misc]  # ray has no types here
    """Trains without Ray Datasets, and leaves SIGINT to the caller.

    Args:
        alone: whether Ray runs for this trainer only. Then nobody needs the workers' places once it has died, and no
            autoscaler waits to be told of their number.
        **options: TorchTrainer's.
    """

    def __init__(self, *, alone: bool, **options: Any) -> None:
        super().__init__(**options)
        self._alone = alone

    def _create_default_callbacks(self) -> list[Any]:
        idle = (DatasetsCallback, PlacementGroupCleanerCallback) if self._alone else (DatasetsCallback,)
        return [callback for callback in super()._create_default_callbacks() if not isinstance(callback, idle)]

    def _initialize_and_run_controller(self, **arguments: Any) -> Any:
        if self._alone and isinstance(arguments["scaling_policy"], FixedScalingPolicy):
            arguments["scaling_policy"] = FixedAndUnannounced(self.scaling_config)
        return super()._initialize_and_run_controller(**arguments)

    def _register_sigint_handler(self, controller: object) -> None:
        """Ray's own handler would end the driver with exit code 0."""


class FixedAndUnannounced(FixedScalingPolicy):  # type: ignore[misc]  # ray has no types here
    """A fixed number of workers, of which no autoscaler is told."""

    def _maybe_send_resource_request(self) -> None:
        pass

    def _send_resource_request(self) -> None:
        pass

    def _cancel_resource_request(self) -> None:
        pass
