"""Products of matrices on one core: by OpenBLAS, where Saccade takes it, and by torch's own library.

The two take turns, and what is shown is the fastest turn of each, in GFLOP/s. ``OPENBLAS_CORETYPE=Haswell`` in the
environment shows OpenBLAS's kernels for AVX2.

    python benchmarks/products.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from saccade.models.openblas import openblas

ROUNDS = 50
LAYERS = ((8192, 64, 192), (8192, 64, 512), (8192, 256, 64), (2048, 64, 192))
HEADS = ((80, 200, 32), (640, 25, 32))


def fastest(*turns: Callable[[], object]) -> list[float]:
    """Seconds of the fastest turn of each."""
    best = [float("inf")] * len(turns)
    for _ in range(ROUNDS):
        for number, turn in enumerate(turns):
            began = time.perf_counter()
            turn()
            best[number] = min(best[number], time.perf_counter() - began)
    return best


def main() -> None:
    """Print a line for each product."""
    torch.set_num_threads(1)
    library = openblas()
    if library is None:
        sys.exit("Saccade leaves products to torch here: no MKL, Intel's processor, or no scipy-openblas64")
    print(f"{'product':<44}{'torch':>10}{'OpenBLAS':>10}{'ratio':>8}")

    def line(name: str, out: Tensor, first: Tensor, second: Tensor) -> None:
        multiply = torch.bmm if out.dim() == 3 else torch.mm
        theirs, ours = fastest(
            lambda: multiply(first, second, out=out), lambda: library.product(out, first, second, 1.0, 0.0)
        )
        operations = 2e-9 * out.numel() * first.shape[-1]
        print(f"{name:<44}{operations / theirs:>10.0f}{operations / ours:>10.0f}{theirs / ours:>8.2f}")

    for tokens, before, after in LAYERS:
        given, weight, gradient = torch.randn(tokens, before), torch.randn(after, before), torch.randn(tokens, after)
        name = f"{tokens} tokens, {before} to {after} features"
        line(name, torch.empty(tokens, after), given, weight.t())
        line("  the gradient of tokens", torch.empty(tokens, before), gradient, weight)
        line("  the gradient of weights", torch.empty(after, before), gradient.t(), given)
    for count, length, dim in HEADS:
        query, key = torch.randn(count, length, dim), torch.randn(count, length, dim)
        weights = torch.randn(count, length, length)
        line(f"{count} heads of {length} x {dim}: q kT", torch.empty_like(weights), query, key.transpose(1, 2))
        line("  weights · v", torch.empty_like(query), weights, key)


if __name__ == "__main__":
    main()
