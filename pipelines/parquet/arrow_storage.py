"""The file systems that pyarrow knows: the local disk, ``s3``, ``gs`` and ``hdfs``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl, unquote

import pyarrow as pa
from pyarrow import fs

from saccade.pipelines.errors import UserError
from saccade.pipelines.parquet.retry import cause
from saccade.pipelines.parquet.storage import Entry, OpenFile, Storage

_CONNECT_SECONDS = 5
_SILENT_SECONDS = 20  # for so long may a server say nothing in the middle of an answer
_S3_OPTIONS = (
    "region",
    "endpoint_override",
    "scheme",
    "anonymous",
    "force_virtual_addressing",
    "role_arn",
    "session_name",
    "external_id",
    "tls_ca_file_path",
)
_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True)
class ArrowBackend:
    """A file system of pyarrow's.

    Attributes:
        filesystem: the file system.
        has_buckets: whether a path begins with a bucket.
    """

    filesystem: fs.FileSystem
    has_buckets: bool = False

    @property
    def lists_trees(self) -> bool:
        """It does."""
        return True

    def look(self, path: str) -> Entry | None:
        """What lies at a path; None where nothing does."""
        kind = self.filesystem.get_file_info(path).type
        if kind == fs.FileType.NotFound:
            if self.has_buckets and self._lacks_bucket(path):
                raise FileNotFoundError("no such bucket")
            return None
        return Entry(path.rstrip("/") or "/", kind == fs.FileType.Directory)

    def entries(self, folder: str, recursive: bool) -> list[Entry]:
        """What lies in a folder."""
        infos = self.filesystem.get_file_info(fs.FileSelector(folder, recursive=recursive))
        return [Entry(info.path.rstrip("/"), info.type == fs.FileType.Directory) for info in infos]

    def open(self, path: str) -> OpenFile:
        """A file, for reading."""
        opened: OpenFile = self.filesystem.open_input_file(path)
        return opened

    def _lacks_bucket(self, path: str) -> bool:
        try:
            return bool(self.filesystem.get_file_info(path.split("/")[0]).type == fs.FileType.NotFound)
        except OSError:
            return False  # there may be one that this user must not look at


def local() -> Storage:
    """The local disk."""
    return Storage("", _local)


def s3(uri: str) -> tuple[Storage, str]:
    """Amazon S3, or what speaks its language; and the path there.

    The options are those of ``pyarrow.fs.S3FileSystem``, as the URI's query.

    Raises:
        UserError: an option isn't known, or the bucket's region can't be found.
    """
    inside, _, query = uri.partition("://")[2].partition("?")
    keys, _, bucket = inside.partition("/")[0].rpartition("@")
    path = unquote(inside.partition("@")[2] if keys else inside)
    options: dict[str, str | bool] = dict(parse_qsl(query))
    for name in options:
        if name not in _S3_OPTIONS:
            raise UserError(f"s3://{path}: has no option {name!r}: known are {', '.join(_S3_OPTIONS)}")
    for name in ("anonymous", "force_virtual_addressing"):
        if name in options:
            options[name] = str(options[name]).lower() in ("true", "1")
    if keys:
        access, _, secret = keys.partition(":")
        options |= {"access_key": unquote(access), "secret_key": unquote(secret)}
    endpoint = next((os.environ[name] for name in _S3_ENDPOINTS if os.environ.get(name)), None)
    if endpoint:
        options.setdefault("endpoint_override", endpoint)
    if "region" not in options and "endpoint_override" not in options:
        try:
            options["region"] = fs.resolve_s3_region(bucket)
        except OSError as error:
            raise UserError(f"s3://{path}: the bucket's region can't be found ({cause(error)})") from error
    return Storage("s3://", partial(_s3, options)), path


def by_uri(uri: str) -> tuple[Storage, str]:
    """Any other file system that pyarrow makes from a URI, and the path there.

    Raises:
        UserError: it doesn't.
    """
    scheme = uri.partition("://")[0]
    if scheme in ("gs", "gcs") and "retry_limit_seconds=" not in uri:
        uri += f"{'&' if '?' in uri else '?'}retry_limit_seconds=1"  # it would be 15 minutes
    try:
        _, path = fs.FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{uri.partition('?')[0]}: not a file system that can be opened ({cause(error)})") from error
    return Storage("" if scheme == "file" else f"{scheme}://", partial(_by_uri, uri)), path


def _local() -> ArrowBackend:
    return ArrowBackend(fs.LocalFileSystem())


def _s3(options: dict[str, str | bool]) -> ArrowBackend:
    filesystem = fs.S3FileSystem(
        **options,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_SILENT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
    )
    return ArrowBackend(filesystem, has_buckets=True)


def _by_uri(uri: str) -> ArrowBackend:
    return ArrowBackend(fs.FileSystem.from_uri(uri)[0], has_buckets=uri.startswith(("gs:", "gcs:")))
