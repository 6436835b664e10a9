"""Trying again what failed on the way to a remote file system, and telling what will fail every time.

Waits double from 0.2 s to at most 10 s, each shortened at random, so that many workers don't come back all at once:
about 11 s of waiting before the eighth attempt. A fault that isn't known to last is tried again: at worst an error
comes some seconds later, whereas giving up ends a run that may have taken days.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")

# What no second attempt mends, by the names that errors have in Arrow's messages.
_PERMANENT = re.compile(
    r"AWS Error (ACCESS_DENIED|NO_SUCH_\w+|RESOURCE_NOT_FOUND|INVALID_\w+|SIGNATURE_\w+|MISSING_\w+|MALFORMED_\w+"
    r"|UNRECOGNIZED_\w+|NOT_\w+|OPT_IN_REQUIRED|VALIDATION|REQUEST_EXPIRED|CLIENT_SIGNING_FAILURE)\b"
    r"|ExpiredToken|SSL peer certificate|wrong version number"
    r"|google::cloud::Status\((PERMISSION_DENIED|UNAUTHENTICATED|NOT_FOUND|INVALID_ARGUMENT)"
)
_PERMANENT_TYPES = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ImportError,
    NotImplementedError,
    TypeError,
    ValueError,  # pyarrow.ArrowInvalid is one
)
_STATUS = re.compile(r"HTTP status (\d{3})")
_ADVICE = {
    "PERMISSION_DENIED": "access denied: check the credentials and what they may read",
    "UNAUTHENTICATED": "access denied: there are no credentials, or they aren't valid",
    "ACCESS_DENIED": "access denied: check the credentials and what they may read",
    "INVALID_ACCESS_KEY_ID": "the access key isn't known there: check the credentials",
    "SIGNATURE_DOES_NOT_MATCH": "the secret key doesn't fit the access key: check the credentials",
    "NO_SUCH_BUCKET": "no such bucket",
    "ExpiredToken": "the credentials have expired",
    "HTTP status 301": "the bucket is in another region: say which with ?region=…",
}

_random = random.Random()  # training's own random numbers stay as they are


class RemoteError(OSError):
    """A remote file system couldn't be read; the text names the file, the attempts and the cause."""


@dataclass(frozen=True)
class Patience:
    """How often and for how long something is tried.

    Attributes:
        attempts: at most so many.
        seconds: none begins later than this.
        first_wait, longest_wait: bounds of the waits between attempts, in seconds.
    """

    attempts: int = 8
    seconds: float = 60.0
    first_wait: float = 0.2
    longest_wait: float = 10.0

    def run(self, action: Callable[[], Result], what: str) -> Result:
        """What ``action`` returns, once it does.

        Args:
            action: may be called several times.
            what: the place and what is done there, for the error: ``s3://bucket/key: can't be listed``.

        Raises:
            RemoteError: it failed for good, or too often.
        """
        start = time.monotonic()
        attempt = 1
        while True:
            try:
                return action()
            except Exception as error:
                wait = _random.uniform(0, min(self.longest_wait, self.first_wait * 2 ** (attempt - 1)))
                elapsed = time.monotonic() - start
                if not is_transient(error) or attempt == self.attempts or elapsed + wait > self.seconds:
                    tried = "1 attempt" if attempt == 1 else f"{attempt} attempts in {elapsed:.0f} s"
                    raise RemoteError(f"{what} after {tried} ({cause(error)})") from error
                time.sleep(wait)
                attempt += 1


PATIENCE = Patience()


def is_transient(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    status = http_status(error)
    if status is not None and not 200 <= status < 300:
        return status >= 500 or status in (408, 425, 429)
    return not isinstance(error, _PERMANENT_TYPES) and not _PERMANENT.search(str(error))


def cause(error: Exception) -> str:
    """What went wrong, in one line."""
    text = str(error).strip()
    for code, advice in _ADVICE.items():
        if code in text:
            return advice
    line = (text.splitlines() or [""])[0]
    # Of Amazon's messages what lies behind the operation's name, of curl's the details, of Google's the last attempt.
    line = line.rsplit("; Details: ", 1)[-1].split("AWS Error ", 1)[-1].replace(" operation: No response body.", "")
    line = line.rsplit("with a last message of ", 1)[-1].split(" error_info=", 1)[0]
    if http_status(error) in (401, 403):
        return f"access denied: check the credentials and what they may read ({line})"
    return line or type(error).__name__


def http_status(error: Exception) -> int | None:
    """The HTTP status of an answer, which each library tells in its own way; None where there was no answer."""
    for name in ("status", "status_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and 100 <= value < 600:
            return value
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None
