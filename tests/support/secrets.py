"""A second SecretStore: what a store behind an API would be. Test support."""

from __future__ import annotations

import re
import threading

from reconciler.keys.secret_store import NAME_MAX, SecretExists

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_MAX - 1}}}")


class MemorySecrets:
    """`away` makes every call fail, as a store over a network may."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.away = False
        self._lock = threading.Lock()

    def _checked(self, name: str) -> str:
        if self.away:
            raise OSError("the store does not answer")
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not the name of a secret")
        return name

    def get(self, name: str) -> bytes | None:
        return self.held.get(self._checked(name))

    def put(self, name: str, value: bytes) -> None:
        with self._lock:
            if self._checked(name) in self.held:
                raise SecretExists(f"{name} exists already")
            self.held[name] = value

    def replace(self, name: str, value: bytes) -> None:
        with self._lock:
            self.held[self._checked(name)] = value

    def remove(self, name: str) -> None:
        with self._lock:
            self.held.pop(self._checked(name), None)

    def names(self) -> tuple[str, ...]:
        self._checked("x")
        return tuple(sorted(self.held))
