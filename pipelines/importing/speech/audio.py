"""One recording as samples.

soundfile (libsndfile) reads wav, flac, ogg, mp3 and aiff; soxr resamples. Channels are averaged, samples beyond -1 .. 1
(of float files, or a resampler's overshoot) are cut there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.format import option
from saccade.pipelines.importing.media import Unreadable, list_of, message_of, need, regular_file
from saccade.pipelines.importing.parts import Division

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
COLUMN_TYPES = {"audio": list_of(pa.float32()), "sampling_rate": pa.int32()}
COLUMNS = {
    "audio": "samples in -1 .. 1, one channel (the mean of the file's)",
    "sampling_rate": "samples a second",
    "transcript": "what is said",
    "label": "number of the class, see label_names",
    "speaker": "who says it",
    "file": "path in the source",
}

_HIGHEST_RATE = 768_000
_BLOCK = 65_536  # frames; a file may have many channels
_FULL_SCALE = 2.0  # 6 dB over full scale is a loud float file; far more is integers written as floats


@dataclass(frozen=True)
class AudioOptions(Division):
    """Options of every format with recordings."""

    rate: int | None = option(None, "Resample to so many samples a second; without it each file keeps its own.")
    max_seconds: float = option(120.0, "Longer recordings are rejected: a row is held in memory as a whole.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate is not None and not 1000 <= self.rate <= _HIGHEST_RATE:
            raise UserError(f"--rate is {self.rate}, but must be 1000..{_HIGHEST_RATE} samples a second")
        if not self.max_seconds > 0:
            raise UserError(f"--max-seconds is {self.max_seconds}, but must be more than 0")


def check_libraries(options: AudioOptions) -> None:
    """Fail at once, and not file by file, where a library is missing.

    Raises:
        UserError: one is.
    """
    need("soundfile", "speech")
    if options.rate is not None:
        need("soxr", "speech")


def read_audio(path: Path, options: AudioOptions) -> dict[str, Any]:
    """The columns ``audio`` and ``sampling_rate`` of a file's row.

    Raises:
        Unreadable: it is no recording, is cut off or damaged, is too long or has no samples.
    """
    if not path.name.lower().endswith(ENDINGS):
        raise Unreadable(f"is no recording: its name ends in none of {', '.join(ENDINGS)}")
    _check_whole(path, regular_file(path))
    samples, rate = _decode(path, options.max_seconds)
    if not len(samples):
        raise Unreadable("has no samples")
    peak = float(np.abs(samples).max())
    if not peak <= _FULL_SCALE:  # also not a number
        raise Unreadable(f"has samples up to {peak:g}, but floats must be in -1..1")
    if options.rate is not None and rate != options.rate:
        samples = need("soxr", "speech").resample(samples, rate, options.rate)
        rate = options.rate
        if not len(samples):
            raise Unreadable(f"is too short for {rate} samples a second")
    return {"audio": samples.clip(-1.0, 1.0), "sampling_rate": rate}


def _decode(path: Path, max_seconds: float) -> tuple[Any, int]:
    soundfile = need("soundfile", "speech")
    try:
        with soundfile.SoundFile(path) as file:
            rate, frames = int(file.samplerate), int(file.frames)
            if not 1 <= rate <= _HIGHEST_RATE:
                raise Unreadable(f"states {rate} samples a second")
            # Before anything is read: a damaged header may state any number.
            if frames > max_seconds * rate:
                raise Unreadable(f"lasts {frames / rate:.1f} s, more than --max-seconds {max_seconds:g}")
            blocks = [
                block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
                for block in file.blocks(_BLOCK, dtype="float32", always_2d=True)
            ]
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        raise Unreadable(f"can't be decoded ({message_of(error).rpartition(': ')[2]})") from error
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.float32)
    if len(samples) < frames:
        raise Unreadable(f"is cut off: it states {frames} samples and has {len(samples)}")
    return samples, rate


def _check_whole(path: Path, size: int) -> None:
    """Refuse a RIFF file that is shorter than it says; libsndfile gives what there is and calls it the whole."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise Unreadable(f"can't be opened ({error.strerror})") from error
    stated = int.from_bytes(head[4:], "little")
    # What was written into a pipe states the largest size; some writers count a last byte of padding that isn't there.
    if head[:4] == b"RIFF" and stated != 0xFFFFFFFF and stated + 8 > size + 1:
        raise Unreadable(f"is cut off: it states {stated + 8:,} bytes and has {size:,}")
