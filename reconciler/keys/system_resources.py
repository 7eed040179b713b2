"""The resources that the global makes itself: CAs, signing keys, the cluster id. Kept in its
SecretStore.

Keys are made once. A global that finds signs of an earlier fleet and not its keys stops, because
new ones would cut off every proxy and zone that trusts the old.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.ca import keys
from reconciler.ca.authority import (
    builtin_ca_names,
    new_builtin_ca,
    new_rsa_key_pem,
    public_pkcs1_pem,
)
from reconciler.decode import mesh_resource
from reconciler.fleet import CLUSTER_ID
from reconciler.model.resource import DISPLAY_NAME, Labels, MeshResource, ResourceKey
from reconciler.model.spec import CaBackend, MeshSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.keys.secret_store import SecretStore

FIRST_KID = "1"
KID = re.compile("[1-9][0-9]{0,8}")
MADE = "made"  # names of what was made, a line each: none of them may be missing
RETIRED = "retired"  # names of signing keys that were removed on purpose, a line each
TOKEN_SECRETS = ("dataplane-token-", "zone-token-", RETIRED)
LOOKS_MAX = 3  # the first makes what is missing, the second finds all as it was
NEW_KEYS = "new-keys"  # that somebody wanted new ones: zones of the old fleet are taken over


def kids(names: Iterable[str], prefix: str) -> list[int]:
    """Of the signing keys with this prefix, ascending: the last one signs."""
    found = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return sorted(int(kid) for kid in found if KID.fullmatch(kid))


class KeysMissing(Exception):
    """Keys of an earlier fleet are not here."""


@dataclass(slots=True)
class SystemResources:
    """Makes what is missing and answers resources. `store` is the global's."""

    store: SecretStore
    read_mark: str = ""  # of what the last `resources` were made of
    _known: frozenset[str] | None = None
    _looked: str | None = None

    def prepare(self, *, earlier_fleet: str | None, new_keys: bool) -> None:
        """Before the first revision. `earlier_fleet` says how an earlier fleet shows. Raises
        KeysMissing.
        """
        zone_key = f"{keys.ZONE_SIGNING_KEY}{FIRST_KID}"
        names = self.store.names()
        lacks = not kids(names, keys.ZONE_SIGNING_KEY)
        if names and lacks:  # It is the first to be made, so it was lost.
            earlier_fleet = f"other keys than {zone_key} are there"
        if earlier_fleet is not None and lacks and not new_keys:
            raise KeysMissing(
                f"this state directory does not hold the keys it should, but {earlier_fleet}: "
                "restore the directory, or start once with --new-keys to make what is missing "
                "(tokens and CAs of the old keys then end)"
            )
        if new_keys:
            self._known = frozenset()
            self.store.replace(MADE, b"")
            self.store.replace(NEW_KEYS, b"wanted\n")
        self._signing_keys(keys.ZONE_SIGNING_KEY)
        self._signing_keys(keys.USER_SIGNING_KEY)
        self._made(CLUSTER_ID, lambda: str(uuid.uuid4()).encode())

    @property
    def takes_over(self) -> bool:
        return self.store.get(NEW_KEYS) is not None

    def _made(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The one that was made, for ever: one that is lost is not made again unasked."""
        known = self._names_made()
        found = self.store.get(name)
        if found is None:
            if name in known:
                raise KeysMissing(
                    f"{name} was made and is not among the secrets any more: restore it, or start "
                    "once with --new-keys to make it anew (what trusts the old one then breaks)"
                )
            found = make()
            self.store.put(name, found)
        if name not in known:
            self._known = known | {name}
            self.store.replace(MADE, "\n".join(sorted(self._known)).encode())
        return found

    def _names_made(self) -> frozenset[str]:
        if self._known is None:
            self._known = frozenset((self.store.get(MADE) or b"").decode().split())
        return self._known

    def _signing_keys(self, prefix: str) -> dict[int, bytes]:
        """By kid. The first is made; others are there because somebody rotated (`token new-key`),
        and one is only gone when somebody said so (`token remove-key`).
        """
        present = kids(self.store.names(), prefix)
        retired = (self.store.get(RETIRED) or b"").decode().split()
        wanted = {*present, *(() if present and f"{prefix}{FIRST_KID}" in retired else (1,))}
        made = (kid for kid in kids(self._names_made(), prefix) if f"{prefix}{kid}" not in retired)
        wanted |= set(made)
        return {kid: self._made(f"{prefix}{kid}", new_rsa_key_pem) for kid in sorted(wanted)}

    def mark(self) -> str:
        """Equal when keys and revocation lists of tokens are. Says nothing about their values:
        a key never changes under its name.
        """
        names = [name for name in self.store.names() if name.startswith(TOKEN_SECRETS)]
        lists = [(name, self.store.get(name)) for name in names if "-revocations" in name]
        return hashlib.sha256(repr((names, lists)).encode()).hexdigest()

    def moved(self) -> bool:
        """Whether `mark` is another one than at the last look. Blocking."""
        before, self._looked = self._looked, self.mark()
        return before not in (None, self._looked)

    def resources(
        self, meshes: Iterable[MeshResource], listed: Mapping[ResourceKey, bytes] | None = None
    ) -> tuple[MeshResource, ...]:
        """Everything that travels with a revision of these meshes. `listed` are secrets of the
        repository, whose revocation lists count as well.

        What somebody changes meanwhile is read as well, or seen by the next `moved`.
        """
        meshes = tuple(meshes)
        for _ in range(LOOKS_MAX):
            mark = self.mark()
            found = self._resources(meshes, listed)
            if mark == self.mark():
                break
        self.read_mark = self._looked = mark
        return found

    def _resources(
        self, meshes: Iterable[MeshResource], listed: Mapping[ResourceKey, bytes] | None
    ) -> tuple[MeshResource, ...]:
        zone_keys = self._signing_keys(keys.ZONE_SIGNING_KEY)
        cluster_id = self._made(CLUSTER_ID, lambda: str(uuid.uuid4()).encode())
        found = [_zone_public_key(kid, key) for kid, key in zone_keys.items()]
        found += self._revoked(ResourceKey("GlobalSecret", "", keys.ZONE_REVOCATIONS), listed)
        found.append(
            mesh_resource(
                ResourceKey("Config", "", CLUSTER_ID), Labels(), {"config": cluster_id.decode()}
            )
        )
        for mesh in meshes:
            found += self._of_mesh(mesh)
            name = keys.dataplane_revocations(mesh.key.name)
            found += self._revoked(ResourceKey("Secret", mesh.key.name, name), listed)
        return tuple(found)

    def _revoked(
        self, key: ResourceKey, listed: Mapping[ResourceKey, bytes] | None
    ) -> list[MeshResource]:
        given = [(listed or {}).get(key), self.store.get(key.name)]
        known = [value for value in given if value is not None]
        return [_secret(key.type, key.mesh, key.name, b",".join(known))] if known else []

    def _of_mesh(self, mesh: MeshResource) -> list[MeshResource]:
        name = mesh.key.name
        prefix = keys.dataplane_signing_key(name)
        found = [
            _secret("Secret", name, f"{prefix}{kid}", key)
            for kid, key in self._signing_keys(prefix).items()
        ]
        spec = mesh.spec
        if isinstance(spec, MeshSpec):
            for backend in spec.backends:
                if backend.type == "builtin":
                    found += self._builtin(name, backend)
        return found

    def _builtin(self, mesh: str, backend: CaBackend) -> list[MeshResource]:
        """Certificate and key are kept as one secret, so that a crash can never leave
        half of a CA.
        """

        def make() -> bytes:
            made = new_builtin_ca(
                mesh, time.time(), bits=backend.rsa_bits, lifetime_s=backend.ca_lifetime_s
            )
            return made.cert_pem + made.key_pem

        kept = self._made(f"{mesh}.ca-builtin-{backend.name}", make)
        cert, mark, key = kept.partition(b"-----BEGIN RSA PRIVATE KEY-----")
        if not mark:
            raise KeysMissing(f"the builtin CA of mesh {mesh} is damaged on disk; restore it")
        cert_name, key_name = builtin_ca_names(mesh, backend.name)
        return [
            _secret("Secret", mesh, cert_name, cert),
            _secret("Secret", mesh, key_name, mark + key),
        ]


def _zone_public_key(kid: int, zone_key: bytes) -> MeshResource:
    """Under the name that zones look for, with that of the key it belongs to for display, as
    Kuma's mapper leaves it.
    """
    key = ResourceKey("GlobalSecret", "", f"{keys.ZONE_PUBLIC_KEY}{kid}")
    labels = Labels.of({DISPLAY_NAME: f"{keys.ZONE_SIGNING_KEY}{kid}"})
    return mesh_resource(key, labels, keys.secret_data(public_pkcs1_pem(zone_key)))


def _secret(type_: str, mesh: str, name: str, value: bytes) -> MeshResource:
    return mesh_resource(ResourceKey(type_, mesh, name), Labels(), keys.secret_data(value))
