"""Asks a control plane on its control socket. Light: commands load nothing else to do it."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_MAX = 64 * 1024 * 1024


class ControlError(Exception):
    """No control plane answers there, or not in a way that can be used."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a unix socket: a control plane's, or Envoy's admin."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, target: str, *, timeout_s: float, method: str = "GET") -> dict[str, object]:
    """`method` `target` on the socket at `path`. Raises ControlError with the cure."""
    status, body = fetch(path, target, timeout_s=timeout_s, method=method)
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ControlError(f"the control plane at {path} answered {status}") from error
    if status != 200 or not isinstance(found, dict):
        raise ControlError(str(found.get("error", found) if isinstance(found, dict) else found))
    return found


def fetch(path: Path, target: str, *, timeout_s: float, method: str = "GET") -> tuple[int, bytes]:
    """Status and body as they are. Raises ControlError with the cure."""
    connection = UnixConnection(path, timeout_s)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return response.status, response.read(ANSWER_MAX)
    except FileNotFoundError as error:
        raise ControlError(
            f"no control plane at {path}: is it running with this state directory?"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise ControlError(f"the control plane at {path} does not answer: {error}") from error
    finally:
        connection.close()
