"""The keys by which a control plane knows who uses its HTTP API: made at its first start, rotated
as those of proxies are, and sent nowhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.ca import keys
from reconciler.ca.authority import new_rsa_key_pem
from reconciler.ca.tokens import FIRST_KID
from reconciler.keys.system_resources import kids
from reconciler.rest.callers import caller_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.ca.tokens import Refused
    from reconciler.keys.secret_store import SecretStore
    from reconciler.rest.callers import Caller

LOOK_S = 2.0  # a new key, or a revocation, counts within that time


@dataclass(slots=True)
class UserKeys:
    """Blocking: to be asked in a thread."""

    store: SecretStore
    _read: tuple[Mapping[str, bytes], frozenset[str]] = field(
        default_factory=lambda: ({}, frozenset())
    )
    _looked: float = -LOOK_S

    def make(self) -> None:
        """The first one, where there is none."""
        if not kids(self.store.names(), keys.USER_SIGNING_KEY):
            self.store.put(f"{keys.USER_SIGNING_KEY}{FIRST_KID}", new_rsa_key_pem())

    def known(self) -> tuple[Mapping[str, bytes], frozenset[str]]:
        """Keys by kid, and the ids of revoked tokens. Raises OSError."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._read, self._looked = self._keys(), now
        return self._read

    def caller(self, authorization: str | None) -> Caller | Refused:
        """Who shows this header. Raises OSError."""
        keys, revoked = self.known()
        return caller_of(authorization, keys, revoked, time.time())

    def _keys(self) -> tuple[Mapping[str, bytes], frozenset[str]]:
        prefix = keys.USER_SIGNING_KEY
        names = {str(kid): f"{prefix}{kid}" for kid in kids(self.store.names(), prefix)}
        read = {kid: self.store.get(name) for kid, name in names.items()}
        listed = self.store.get(keys.USER_REVOCATIONS) or b""
        revoked = frozenset(filter(None, (text.strip() for text in listed.decode().split(","))))
        return {kid: key for kid, key in read.items() if key is not None}, revoked
