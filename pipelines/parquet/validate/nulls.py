"""Which rows of an Arrow array have a null."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from saccade.pipelines.parquet.schema import is_list


def null_rows(array: pa.Array) -> npt.NDArray[np.bool_]:
    """[N] whether each of N rows is null, or has a null in its list, at any depth."""
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()  # the dictionary itself may hold one
    nulls: npt.NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False).copy()
    if is_list(array.type):
        lists = array.drop_null()
        inner = null_rows(lists.flatten())
        if inner.any():
            lengths: npt.NDArray[Any] = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
            nulls[np.repeat(np.flatnonzero(~nulls), lengths)[inner]] = True
    return nulls
