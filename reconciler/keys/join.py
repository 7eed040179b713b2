"""The join file of a zone: where its global is, whom to trust there, and the token that proves the
zone. Whoever has the file can be that zone: mode 0600.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.keys.secret_store import write_private

if TYPE_CHECKING:
    from pathlib import Path

KDS_PORT = 5685
RESERVED_ZONE = "global"
_ZONE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class JoinError(Exception):
    """The file cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Join:
    """Raises JoinError for a zone or an address that cannot be."""

    zone: str
    address: str  # grpcs://host:port
    ca_pem: str
    token: str = field(repr=False)
    cluster: str = ""  # id of the fleet that the zone may be taken over by

    def __post_init__(self) -> None:
        if _ZONE.fullmatch(self.zone) is None or self.zone == RESERVED_ZONE:
            raise JoinError(
                f'"{self.zone}" cannot be the name of a zone; use a-z, 0-9 and "-", '
                f'up to 63 characters, not "{RESERVED_ZONE}"'
            )
        try:
            url = urlsplit(self.address)
            good = url.scheme in ("grpc", "grpcs") and bool(url.hostname) and url.port != 0
            extra = url.path.strip("/") or url.query or url.fragment or url.username
        except ValueError:
            good, extra = False, None
        if not good or extra:
            raise JoinError(f"global must be grpcs://host:port, not {self.address}")

    @property
    def target(self) -> tuple[str, int, bool]:
        """Host, port, and whether TLS is spoken."""
        url = urlsplit(self.address)
        return url.hostname or "", url.port or KDS_PORT, url.scheme == "grpcs"


def write_join(path: Path, join: Join) -> None:
    document = {"zone": join.zone, "global": join.address, "ca": join.ca_pem, "token": join.token}
    if join.cluster:
        document["cluster"] = join.cluster
    write_private(path, (json.dumps(document, indent=2) + "\n").encode())


def read_join(path: Path) -> Join:
    """Raises JoinError."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise JoinError(
            f"{path}: {error.strerror}; make one with `reconciler token zone NAME`"
        ) from error
    except (ValueError, RecursionError) as error:
        raise JoinError(f"{path}: is no join file: {error}") from error
    if not isinstance(data, dict):
        raise JoinError(f"{path}: is no join file")
    missing = [key for key in ("zone", "global", "token") if not isinstance(data.get(key), str)]
    if missing:
        raise JoinError(f"{path}: {', '.join(missing)} is missing; make a new join file")
    try:
        ca, cluster = str(data.get("ca") or ""), str(data.get("cluster") or "")
        return Join(data["zone"], data["global"], ca, data["token"].strip(), cluster)
    except JoinError as error:
        raise JoinError(f"{path}: {error}") from error
