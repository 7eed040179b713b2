"""The resources that the global makes itself: CAs, signing keys, the cluster id. Kept in its
SecretStore.

Keys are made once. A global that finds signs of an earlier fleet and not its keys stops, because
new ones would cut off every proxy and zone that trusts the old.
"""

from __future__ import annotations

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
    from collections.abc import Callable, Iterable

    from reconciler.keys.secret_store import SecretStore

FIRST_KID = "1"
MADE = "made"  # names of what was made, a line each: none of them may be missing
NEW_KEYS = "new-keys"  # that somebody wanted new ones: zones of the old fleet are taken over


class KeysMissing(Exception):
    """Keys of an earlier fleet are not here."""


@dataclass(slots=True)
class SystemResources:
    """Makes what is missing and answers resources. `store` is the global's."""

    store: SecretStore
    _known: frozenset[str] | None = None

    def prepare(self, *, earlier_fleet: str | None, new_keys: bool) -> None:
        """Before the first revision. `earlier_fleet` says how an earlier fleet shows. Raises
        KeysMissing.
        """
        zone_key = f"{keys.ZONE_SIGNING_KEY}{FIRST_KID}"
        names = self.store.names()
        if names and zone_key not in names:  # It is the first to be made, so it was lost.
            earlier_fleet = f"other keys than {zone_key} are there"
        if earlier_fleet is not None and zone_key not in names and not new_keys:
            raise KeysMissing(
                f"this state directory does not hold the keys it should, but {earlier_fleet}: "
                "restore the directory, or start once with --new-keys to make what is missing "
                "(tokens and CAs of the old keys then end)"
            )
        if new_keys:
            self._known = frozenset()
            self.store.replace(MADE, b"")
            self.store.replace(NEW_KEYS, b"wanted\n")
        self._made(zone_key, new_rsa_key_pem)
        self._made(CLUSTER_ID, lambda: str(uuid.uuid4()).encode())

    @property
    def takes_over(self) -> bool:
        return self.store.get(NEW_KEYS) is not None

    def _made(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The one that was made, for ever: one that is lost is not made again unasked."""
        if self._known is None:
            self._known = frozenset((self.store.get(MADE) or b"").decode().split())
        found = self.store.get(name)
        if found is None:
            if name in self._known:
                raise KeysMissing(
                    f"{name} was made and is not among the secrets any more: restore it, or start "
                    "once with --new-keys to make it anew (what trusts the old one then breaks)"
                )
            found = make()
            self.store.put(name, found)
        if name not in self._known:
            self._known |= {name}
            self.store.replace(MADE, "\n".join(sorted(self._known)).encode())
        return found

    def resources(self, meshes: Iterable[MeshResource]) -> tuple[MeshResource, ...]:
        """Everything that travels with a revision of these meshes."""
        zone_key = self._made(f"{keys.ZONE_SIGNING_KEY}{FIRST_KID}", new_rsa_key_pem)
        cluster_id = self._made(CLUSTER_ID, lambda: str(uuid.uuid4()).encode())
        found = [
            _zone_public_key(zone_key),
            mesh_resource(
                ResourceKey("Config", "", CLUSTER_ID), Labels(), {"config": cluster_id.decode()}
            ),
        ]
        for mesh in meshes:
            found += self._of_mesh(mesh)
        return tuple(found)

    def _of_mesh(self, mesh: MeshResource) -> list[MeshResource]:
        name = mesh.key.name
        signing = f"{keys.dataplane_signing_key(name)}{FIRST_KID}"
        found = [_secret("Secret", name, signing, self._made(signing, new_rsa_key_pem))]
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


def _zone_public_key(zone_key: bytes) -> MeshResource:
    """Under the name that zones look for, with that of the key it belongs to for display, as
    Kuma's mapper leaves it.
    """
    key = ResourceKey("GlobalSecret", "", f"{keys.ZONE_PUBLIC_KEY}{FIRST_KID}")
    labels = Labels.of({DISPLAY_NAME: f"{keys.ZONE_SIGNING_KEY}{FIRST_KID}"})
    return mesh_resource(key, labels, keys.secret_data(public_pkcs1_pem(zone_key)))


def _secret(type_: str, mesh: str, name: str, value: bytes) -> MeshResource:
    return mesh_resource(ResourceKey(type_, mesh, name), Labels(), keys.secret_data(value))
