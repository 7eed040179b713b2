"""Tokens as a control plane of Kuma 2.14 issues them (facts/dataplane-wire.md 1.7), without the
product's issuer: claims in capitals, a key id in the header, five seconds ago.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import jwt

if TYPE_CHECKING:
    from collections.abc import Mapping

VALID_S = 3600


def dataplane_token(key_pem: bytes, claims: Mapping[str, object], kid: str = "1") -> str:
    return _signed(key_pem, kid, claims)


def zone_token(key_pem: bytes, zone: str, *scope: str) -> str:
    return _signed(key_pem, "1", {"Zone": zone, "Scope": list(scope)})


def _signed(key_pem: bytes, kid: str, claims: Mapping[str, object]) -> str:
    now = int(time.time())
    registered = {
        "jti": str(uuid.uuid4()),
        "iat": now - 5,
        "nbf": now - 5,
        "exp": now + VALID_S,
    }
    return jwt.encode({**claims, **registered}, key_pem, algorithm="RS256", headers={"kid": kid})
