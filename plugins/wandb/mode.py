"""Whether a run is sent to a W&B server; decided without importing wandb."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from saccade.pipelines.errors import UserError

Mode = Literal["online", "offline", "disabled"]

_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


def choose_mode(requested: str) -> Mode:
    """The mode a run is tracked in.

    Args:
        requested: ``wandb.mode`` of the job: ``online``, ``offline``, ``disabled``, or ``auto``: what WANDB_MODE says,
            else online where an API key is configured, else offline.

    Raises:
        UserError: the mode is unknown, or online was asked for and there is no key.
    """
    source, wanted = "wandb.mode", requested
    if requested == "auto" and os.environ.get("WANDB_MODE"):
        source, wanted = "WANDB_MODE", os.environ["WANDB_MODE"]
    if wanted == "auto":
        return "online" if has_api_key() else "offline"
    mode = _MODES.get(wanted)
    if mode is None:
        raise UserError(f"{source} is {wanted!r}: give online, offline or disabled")
    if mode == "online" and not has_api_key():
        raise UserError(
            f"{source} is {wanted!r}, but no W&B API key is configured: run `wandb login`, set WANDB_API_KEY, "
            "or set wandb.mode=offline"
        )
    return mode


def has_api_key() -> bool:
    """Whether a key for the W&B server is in WANDB_API_KEY or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        entry = netrc.netrc(path).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return False
    return entry is not None and bool(entry[2])
