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
    """Request `target` on the socket at `path`. Raises ControlError with the cure."""
    connection = UnixConnection(path, timeout_s)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read(ANSWER_MAX)
    except FileNotFoundError as error:
        raise ControlError(
            f"no control plane at {path}: is it running with this state directory?"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise ControlError(f"the control plane at {path} does not answer: {error}") from error
    finally:
        connection.close()
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ControlError(f"the control plane at {path} answered {response.status}") from error
    if response.status != 200 or not isinstance(found, dict):
        raise ControlError(str(found.get("error", found) if isinstance(found, dict) else found))
    return found
