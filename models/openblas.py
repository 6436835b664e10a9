"""OpenBLAS beside torch's MKL, where MKL doesn't use what the processor has.

MKL takes its AVX-512 kernels on Intel's processors alone. OpenBLAS takes its own on AMD's as well, from Zen 4 on. On
one core of a Zen 5, in float32: 220 to 240 GFLOP/s instead of 110 for a linear layer of 8,192 tokens from 64 to 192
features, and 170 to 190 instead of 95 for the products of attention's weights; with its kernels for AVX2 125 and 105
(``python benchmarks/products.py``; the environment variable OPENBLAS_CORETYPE=Haswell tells OpenBLAS to take those).
eSASRec trains 1.37 times as many events a second.

Only for processes of one thread, as workers on a CPU are unless ``run.cpus_per_worker`` says otherwise: its own threads
and torch's, which wait for work by spinning, take the cores from each other (20 times slower with two).

The library comes with the package ``scipy-openblas64``; without it everything is left to torch.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112
"""CBLAS_ORDER and CBLAS_TRANSPOSE."""

_int, _long, _pointer = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
_MATRIX: list[Any] = [_pointer, _long]
_STRIDED: list[Any] = [_pointer, _long, _long]


class OpenBlas:
    """The loaded library.

    Attributes:
        kernels: the processor whose kernels it has taken, as it names them (``SkylakeX``).
    """

    def __init__(self, path: Path) -> None:
        # NumPy has a copy of its own, with other kernels: neither is to find the other one's.
        library = ctypes.CDLL(str(path), mode=os.RTLD_LOCAL | os.RTLD_DEEPBIND)
        library.scipy_openblas_set_num_threads64_(1)
        library.scipy_openblas_get_corename64_.restype = ctypes.c_char_p
        self.kernels: str = library.scipy_openblas_get_corename64_().decode()
        self._product, self._products = {}, {}
        for dtype, letter, number in ((torch.float32, "s", ctypes.c_float), (torch.float64, "d", ctypes.c_double)):
            one = self._product[dtype] = library[f"scipy_cblas_{letter}gemm64_"]
            many = self._products[dtype] = library[f"scipy_cblas_{letter}gemm_batch_strided64_"]
            kinds: list[Any] = [_int] * 3 + [_long] * 3
            one.argtypes = [*kinds, number, *_MATRIX, *_MATRIX, number, *_MATRIX]
            many.argtypes = [*kinds, number, *_STRIDED, *_STRIDED, number, *_STRIDED, _long]
            one.restype = many.restype = None

    def product(self, out: Tensor, first: Tensor, second: Tensor, alpha: float, beta: float) -> bool:
        """Let out = alpha · first second + beta · out, for matrices or as many matrices in each; False if it can't.

        Args:
            out: [M, N] or [B, M, N] with rows of consecutive numbers, float32 or float64 as the others are.
            first: [M, K] or [B, M, K]; its rows or its columns are consecutive.
            second: [K, N] or [B, K, N], likewise.
            alpha: a factor.
            beta: a factor; with 0 what was in ``out`` is not read.
        """
        a, b, c = _order(first), _order(second), _order(out)
        if a is None or b is None or c is None or c[0] != PLAIN:
            return False
        *many, rows, columns = out.shape
        inner = first.shape[-1]
        if first.shape != (*many, rows, inner) or second.shape != (*many, inner, columns):
            return False
        kinds = (ROW_MAJOR, a[0], b[0], rows, columns, inner)
        x, y, z = first.data_ptr(), second.data_ptr(), out.data_ptr()
        if many:
            steps = first.stride(0), second.stride(0), out.stride(0)
            call = self._products[out.dtype]
            call(*kinds, alpha, x, a[1], steps[0], y, b[1], steps[1], beta, z, c[1], steps[2], many[0])
        else:
            self._product[out.dtype](*kinds, alpha, x, a[1], y, b[1], beta, z, c[1])
        return True


def _order(matrix: Tensor) -> tuple[int, int] | None:
    """How it lies in memory, and from how many numbers to how many the next row (or column) follows."""
    rows, columns = matrix.shape[-2:]
    down, right = matrix.stride()[-2:]
    if right == 1 and down >= columns:
        return PLAIN, down
    if down == 1 and right >= rows:
        return TRANSPOSED, right
    return None


@cache
def openblas() -> OpenBlas | None:
    """The library, computing in one thread, where it is there and faster than what torch has."""
    found = find_spec("scipy_openblas64") if _mkl_is_slow() else None
    if found is None or found.origin is None:
        return None
    try:
        return OpenBlas(Path(found.origin).parent / "lib" / "libscipy_openblas64_.so")
    except (OSError, AttributeError):  # for another system, or another version of it
        return None


def _mkl_is_slow() -> bool:
    """Whether torch computes by MKL on a processor that isn't Intel's."""
    if platform.system() != "Linux" or not torch.backends.mkl.is_available():
        return False
    try:
        return "GenuineIntel" not in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
