"""Proves that a store holds what was put there: all of it, and nothing else. Pure.

Each row has a MAC under a key that does not stand in the store. The seal says, for every kind, how
many rows there are and what their MACs add up to, under a MAC of its own. Whoever can write the
file but not read the key can neither change a row, nor add, drop or swap one, nor bring an earlier
one back, without the kind failing. (Sums of MACs modulo 2^256 are a set hash: to find two sets with
one sum takes the key.)
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import NamedTuple

KEY_BYTES = 32
MODULUS = 2**256
HASH = "sha256"


class Total(NamedTuple):
    """Of the rows of one kind."""

    rows: int = 0
    macs: int = 0

    def plus(self, mac: str) -> Total:
        return Total(self.rows + 1, (self.macs + int(mac, 16)) % MODULUS)

    def minus(self, mac: str) -> Total:
        return Total(self.rows - 1, (self.macs - int(mac, 16)) % MODULUS)


Totals = Mapping[str, Total]
EMPTY = Total()


def row_mac(key: bytes, kind: str, row: str, value: bytes) -> str:
    """Of the whole row, so that no value can come under another's name."""
    parts = (kind.encode(), row.encode(), value)
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.digest(key, b"row" + framed, HASH).hex()


def sealed(key: bytes, totals: Totals) -> tuple[bytes, str]:
    """The seal: its body and its MAC."""
    document = {kind: [t.rows, f"{t.macs:064x}"] for kind, t in sorted(totals.items()) if t.rows}
    body = json.dumps(document, separators=(",", ":")).encode()
    return body, hmac.digest(key, b"seal" + body, HASH).hex()


def opened(key: bytes, body: object, mac: object) -> dict[str, Total] | None:
    """The totals of a seal; None when it is not one made with this key."""
    if not isinstance(body, bytes) or not isinstance(mac, bytes):
        return None
    if not hmac.compare_digest(hmac.digest(key, b"seal" + body, HASH).hex().encode(), mac):
        return None
    return {kind: Total(count, int(text, 16)) for kind, (count, text) in json.loads(body).items()}
