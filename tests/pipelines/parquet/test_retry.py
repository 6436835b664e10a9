import time

import pyarrow as pa
import pytest

from saccade.pipelines.parquet.retry import Patience, RemoteError, cause, is_transient

S3 = "When reading information for key 'a' in bucket 'b': AWS Error {} during GetObject operation: {}"


class Answer(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionResetError("reset by peer"), True),
        (TimeoutError(), True),
        (EOFError("3 of 7 bytes came"), True),
        (OSError(S3.format("NETWORK_CONNECTION", "curlCode: 28, Timeout was reached")), True),
        (OSError(S3.format("SLOW_DOWN", "Please reduce your request rate.")), True),
        (OSError(S3.format("INTERNAL_FAILURE", "")), True),
        (OSError(S3.format("UNKNOWN (HTTP status 503)", "No response body.")), True),
        (OSError(S3.format("UNKNOWN (HTTP status 429)", "No response body.")), True),
        (OSError(S3.format("UNKNOWN (HTTP status 301)", "No response body.")), False),
        (OSError(S3.format("UNKNOWN (HTTP status 400)", "ExpiredToken")), False),
        (OSError(S3.format("ACCESS_DENIED", "Access Denied")), False),
        (OSError(S3.format("NO_SUCH_BUCKET", "The specified bucket does not exist")), False),
        (OSError(S3.format("INVALID_ACCESS_KEY_ID", "m")), False),
        (Answer(502), True),
        (Answer(403), False),
        (Answer(416), False),
        (FileNotFoundError("gone"), False),
        (PermissionError("no"), False),
        (pa.ArrowInvalid("not a path"), False),
    ],
)
def test_what_is_tried_again(error: Exception, transient: bool) -> None:
    assert is_transient(error) == transient


def test_causes_are_one_readable_line() -> None:
    refused = "curlCode: 7, Could not connect to server; Details: Failed to connect to 127.0.0.1:1 after 0 ms"
    assert cause(OSError(S3.format("NETWORK_CONNECTION", refused))) == "Failed to connect to 127.0.0.1:1 after 0 ms"
    assert cause(OSError(S3.format("ACCESS_DENIED", "No response body."))).startswith("access denied: check the cred")
    assert cause(OSError(S3.format("UNKNOWN (HTTP status 500)", "No response body."))) == (
        "UNKNOWN (HTTP status 500) during GetObject"
    )
    assert cause(TimeoutError()) == "TimeoutError"
    assert cause(OSError("one\ntwo")) == "one"


def failing(times: int, error: Exception) -> list[float]:
    """When each of some attempts was made, the last of them good."""
    made: list[float] = []

    def action() -> None:
        made.append(time.monotonic())
        if len(made) <= times:
            raise error

    Patience(attempts=4, seconds=0.6, first_wait=0.02, longest_wait=0.1).run(action, "s3://b/k: can't be read")
    return made


def test_passing_faults_pass() -> None:
    assert len(failing(3, ConnectionResetError("reset"))) == 4


def test_attempts_and_time_are_bounded() -> None:
    with pytest.raises(RemoteError, match=r"^s3://b/k: can't be read after 4 attempts in 0 s \(reset\)$"):
        failing(9, ConnectionResetError("reset"))
    with pytest.raises(RemoteError, match=r"^s3://b/k: can't be read after 1 attempt \(gone\)$"):
        failing(9, FileNotFoundError("gone"))

    def slow() -> None:
        time.sleep(0.2)
        raise TimeoutError("slow")

    start = time.monotonic()
    with pytest.raises(RemoteError, match=r"attempts in \d s \(slow\)"):
        Patience(attempts=99, seconds=0.5, first_wait=0.01, longest_wait=0.01).run(slow, "x")
    assert time.monotonic() - start < 2
