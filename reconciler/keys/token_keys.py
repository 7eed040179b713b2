"""Signing keys of tokens and lists of revoked tokens, in the global's SecretStore.

The highest kid signs, all that are there verify. A running global looks at the store once a second
and gives what changed to its zones with the revision in force.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.ca import keys, tokens
from reconciler.ca.authority import new_rsa_key_pem
from reconciler.keys.system_resources import KID, RETIRED, kids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.keys.secret_store import SecretStore

LIST_MAX = 512 * 1024  # bytes; a secret and its resource must fit into messages


class TokenKeyError(Exception):
    """It cannot be done; the text says why and what to do."""


def prefix_of(mesh: str | None, *, users: bool = False) -> str:
    """Of the names of signing keys: of a mesh's proxies, of users, else of zones and zone
    proxies.
    """
    if mesh and users:
        raise TokenKeyError("users belong to no mesh: give --mesh or --users")
    if users:
        return keys.USER_SIGNING_KEY
    return keys.dataplane_signing_key(mesh) if mesh else keys.ZONE_SIGNING_KEY


def _holders(prefix: str) -> str:
    """Whose tokens these keys sign."""
    known = {keys.ZONE_SIGNING_KEY: "zones and zone proxies", keys.USER_SIGNING_KEY: "users"}
    mesh = prefix.removeprefix(keys.dataplane_signing_key("")[:-1]).removesuffix("-")
    return known.get(prefix) or f'dataplanes of mesh "{mesh}"'


def revocations_of(prefix: str) -> str:
    """The list of revoked tokens that these keys signed."""
    return prefix.replace("-signing-key-", "-revocations-").removesuffix("-")


def signing_key(store: SecretStore, prefix: str) -> tuple[str, bytes]:
    """The kid and the key that new tokens are signed with."""
    known = kids(store.names(), prefix)
    key = store.get(f"{prefix}{known[-1]}") if known else None
    if key is None:
        if prefix in (keys.ZONE_SIGNING_KEY, keys.USER_SIGNING_KEY):
            raise TokenKeyError("the control plane has no such signing key yet: start it once")
        text = f"there is no key {prefix}N here: the global makes it with the mesh"
        raise TokenKeyError(text)
    return str(known[-1]), key


def signed(key: tuple[str, bytes], claims: Mapping[str, object], now: float, valid_s: float) -> str:
    """A token by kid and key, as `signing_key` finds them."""
    return tokens.issue(key[1], claims, now, valid_s, key[0])


def newest(known: Mapping[str, bytes]) -> tuple[str, bytes] | None:
    """Of keys by kid, the one that signs."""
    kid = max((k for k in known if KID.fullmatch(k)), key=int, default=None)
    return None if kid is None else (kid, known[kid])


def add_key(store: SecretStore, prefix: str) -> int:
    """A new key with the next kid. The kid of a removed key is not given again."""
    signing_key(store, prefix)
    kid = max(*kids(store.names(), prefix), *kids(_retired(store), prefix), 0) + 1
    store.put(f"{prefix}{kid}", new_rsa_key_pem())
    return kid


def remove_key(store: SecretStore, prefix: str, kid: int) -> None:
    known = kids(store.names(), prefix)
    if kid not in known:
        raise TokenKeyError(f"there is no key {kid}; there are {', '.join(map(str, known))}")
    if kid == known[-1]:
        raise TokenKeyError(f"key {kid} signs new tokens; make another with `token new-key` first")
    name = f"{prefix}{kid}"
    # First the word that it goes on purpose: without it, it would be missed.
    store.replace(RETIRED, "\n".join([*_retired(store), name]).encode())
    store.remove(name)


def _retired(store: SecretStore) -> list[str]:
    return (store.get(RETIRED) or b"").decode().split()


def token_id(store: SecretStore, prefix: str, text: str, now: float) -> str:
    """The id of a token that one of our keys signed; `text` may be a join file."""
    token = str(json.loads(text).get("token", "")) if text.lstrip().startswith("{") else text
    found = {str(kid): store.get(f"{prefix}{kid}") or b"" for kid in kids(store.names(), prefix)}
    verdict = tokens.verify(token.strip(), found, now)
    if isinstance(verdict, tokens.Refused):
        raise TokenKeyError(f"as a token of {_holders(prefix)}: {verdict.reason}")
    return verdict.token_id


def revoke(store: SecretStore, prefix: str, revoked: str) -> None:
    if not revoked or any(c in ", \n" for c in revoked):
        raise TokenKeyError(f"{revoked!r} is not the id of a token")
    name = revocations_of(prefix)
    known = [part for part in (store.get(name) or b"").decode().split(",") if part]
    value = ",".join(dict.fromkeys([*known, revoked])).encode()
    if len(value) > LIST_MAX:
        raise TokenKeyError(
            f"{name} would be over its limit of {LIST_MAX} bytes; change the signing key instead"
        )
    store.replace(name, value)
