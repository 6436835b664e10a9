"""Whether a file's pages carry checksums.

The footer doesn't say, and pyarrow, which verifies them wherever they are, doesn't tell. So the first page's header is
read: in Thrift's compact encoding the checksum is the fourth field, behind three integers that are always there.
"""

from __future__ import annotations

import pyarrow.parquet as pq

from saccade.pipelines.parquet.files import Files

_I32 = 5
_HEADER_BYTES = 32  # three fields of at most six bytes each, and the head of the fourth


def has_checksums(files: Files, name: str, metadata: pq.FileMetaData) -> bool:
    """Whether the first page of a file has a checksum; a writer gives them to all pages or to none.

    True for a file without pages.

    Raises:
        OSError: the file can't be read.
    """
    if metadata.num_row_groups == 0 or metadata.num_columns == 0:
        return True
    column = metadata.row_group(0).column(0)
    begin = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    with files.open(name) as file:
        header = file.read_at(_HEADER_BYTES, begin)
    return _has_field_four(header)


def _has_field_four(header: bytes) -> bool:
    at = 0
    for _ in ("type", "uncompressed size", "compressed size"):
        while at < len(header) - 1 and header[at + 1] & 0x80:  # a variable-length integer goes on
            at += 1
        at += 2
    # A field's head: how many numbers after the last field it is, and its type.
    return at < len(header) and header[at] == (1 << 4 | _I32)
