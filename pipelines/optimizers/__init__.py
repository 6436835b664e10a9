"""Optimizers by name, the same for every engine: of the network, and of the tables (sparse formulas)."""

from saccade.pipelines.optimizers.network import NetworkOptimizer
from saccade.pipelines.optimizers.table import TableOptimizer

__all__ = ["NetworkOptimizer", "TableOptimizer"]
