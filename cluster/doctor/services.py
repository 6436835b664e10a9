"""Ray and Weights & Biases, as a run started now would find them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from saccade.cluster.doctor.finding import Facts, Finding
from saccade.pipelines.errors import UserError


def ray_address() -> str | None:
    """The address of the cluster that a run would join: RAY_ADDRESS, or the one that `ray start` left here."""
    if os.environ.get("RAY_ADDRESS"):
        return os.environ["RAY_ADDRESS"]
    known = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    try:
        return known.read_text().strip() or None
    except OSError:
        return None


def services() -> Facts:
    """Ray's address and how W&B tracks."""
    address = ray_address()
    state = "" if address is None or answers(address) is not False else " (doesn't answer)"
    return {"ray": f"{address}{state}" if address else "none: a local one is started", "wandb": wandb_mode()}


def silent_ray() -> list[Finding]:
    """A Ray address at which nobody answers: starting would wait for minutes."""
    address = ray_address()
    if address is None or answers(address) is not False:
        return []
    if os.environ.get("RAY_ADDRESS"):
        return [
            Finding("problem", f"nothing answers at RAY_ADDRESS={address}", "start the cluster, or unset RAY_ADDRESS")
        ]
    mend = "rm /tmp/ray/ray_current_cluster (or under RAY_TMPDIR), or start the cluster again with `ray start --head`"
    return [Finding("warning", f"the Ray cluster last started here, {address}, doesn't answer", mend)]


def wandb_mode() -> str:
    """How a run with ``wandb.mode: auto`` is tracked."""
    from saccade.plugins.wandb.mode import choose_mode

    try:
        return choose_mode("auto")
    except UserError as error:
        return str(error)


def answers(address: str) -> bool | None:
    """Whether something listens at an address, within a second; None where the address has no host and port."""
    host, _, port = address.rpartition("//")[2].rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        return None
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False
