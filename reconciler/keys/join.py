"""The join file of a zone: where its global is, whom to trust there, and the token that proves the
zone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.keys.secret_store import write_private

if TYPE_CHECKING:
    from pathlib import Path


class JoinError(Exception):
    """The file cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Join:
    zone: str
    address: str  # grpcs://host:port
    ca_pem: str
    token: str

    @property
    def target(self) -> tuple[str, int, bool]:
        """Host, port, and whether TLS is spoken."""
        url = urlsplit(self.address)
        return url.hostname or "", url.port or 5685, url.scheme == "grpcs"


def write_join(path: Path, join: Join) -> None:
    document = {"zone": join.zone, "global": join.address, "ca": join.ca_pem, "token": join.token}
    write_private(path, (json.dumps(document, indent=2) + "\n").encode())


def read_join(path: Path) -> Join:
    """Raises JoinError."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise JoinError(
            f"{path}: {error.strerror}; make one with `reconciler token zone NAME`"
        ) from error
    except ValueError as error:
        raise JoinError(f"{path}: is no join file: {error}") from error
    if not isinstance(data, dict):
        raise JoinError(f"{path}: is no join file")
    missing = [key for key in ("zone", "global", "token") if not isinstance(data.get(key), str)]
    if missing:
        raise JoinError(f"{path}: {', '.join(missing)} is missing; make a new join file")
    join = Join(data["zone"], data["global"], str(data.get("ca", "")), data["token"])
    if urlsplit(join.address).scheme not in ("grpc", "grpcs") or not join.target[0]:
        raise JoinError(f"{path}: global must be grpcs://host:port, not {join.address}")
    return join
