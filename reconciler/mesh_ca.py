"""The certificate authorities of a mesh as its resources hold them: builtin ones under the names
that Kuma gives them, provided ones where their backend says. Pure.

All listed backends are trusted, one signs. So a CA is replaced without a failed request: list the
new one, let that arrive everywhere, enable it, let that arrive, remove the old one.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.ca.authority import builtin_ca_names
from reconciler.ca.reading import not_after
from reconciler.model.resource import ResourceKey
from reconciler.model.spec import MeshSpec

if TYPE_CHECKING:
    from reconciler.model.spec import CaBackend, CaSource
    from reconciler.state import MeshState

DAY_S = 86400.0
WARN_S = 30 * DAY_S  # before a CA expires: time enough for a rotation by three commits
EXPIRED_MAX = 100  # warnings shown


@dataclass(frozen=True, slots=True)
class Authority:
    """One backend's CA. `missing` says what of it is not here; "" when it is whole."""

    backend: CaBackend
    cert_pem: bytes = b""
    key_pem: bytes = field(default=b"", repr=False)
    missing: str = ""


def mesh_spec(state: MeshState, mesh: str) -> MeshSpec | None:
    found = state.get(ResourceKey("Mesh", "", mesh))
    return found.spec if found is not None and isinstance(found.spec, MeshSpec) else None


def authority(state: MeshState, mesh: str, backend: CaBackend) -> Authority:
    if backend.type == "builtin":
        names = builtin_ca_names(mesh, backend.name)
        found = [_secret(state, mesh, name) for name in names]
        lacks = [name for name, value in zip(names, found, strict=True) if value is None]
    else:
        parts = {"cert": backend.cert, "key": backend.key}
        found = [part_of(state, mesh, source) for source in parts.values()]
        lacks = [
            f"{part} ({source.secret if source else 'no source that a zone can read'})"
            for (part, source), value in zip(parts.items(), found, strict=True)
            if value is None
        ]
    cert, key = found
    if cert is None or key is None:
        return Authority(backend, cert or b"", missing=", ".join(lacks))
    return Authority(backend, cert, key)


def part_of(state: MeshState, mesh: str, source: CaSource | None) -> bytes | None:
    """None: its secret is not here."""
    if source is None:
        return None
    return _secret(state, mesh, source.secret) if source.secret else source.inline


def _secret(state: MeshState, mesh: str, name: str) -> bytes | None:
    found = state.get(ResourceKey("Secret", mesh, name))
    return _value(found.body) if found is not None else None


@lru_cache(maxsize=4096)
def _value(body: str) -> bytes:
    """Of a secret's body: every proxy's build looks at the same few."""
    return base64.b64decode(str(json.loads(body).get("data", "")))


def trusted_pem(state: MeshState, mesh: str, spec: MeshSpec) -> bytes | None:
    """All CAs of the mesh, the enabled one first. None while one of them is missing: to leave it
    out would cut off whoever still presents its certificates.
    """
    ordered = sorted(spec.backends, key=lambda backend: backend is not spec.mtls)
    found = [authority(state, mesh, backend).cert_pem for backend in ordered]
    if not all(found):
        return None
    return b"".join(dict.fromkeys(pem.rstrip(b"\n") + b"\n" for pem in found))


@dataclass(frozen=True, slots=True)
class CaChange:
    """How a mesh's CAs differ between two revisions. `fault` says why at once is too much; a change
    with `waits` is for when every proxy has the revision before it.
    """

    mesh: str
    fault: str = ""
    waits: bool = False


def ca_changes(before: MeshState, after: MeshState) -> tuple[CaChange, ...]:
    """Of meshes with mTLS in both: a certificate is presented only where all trust its CA, and no
    CA goes of which certificates are in use.
    """
    found: list[CaChange] = []
    for mesh in after.of("Mesh"):
        name = mesh.key.name
        old, new = mesh_spec(before, name), mesh_spec(after, name)
        if old is not None and new is not None and old.mtls and new.mtls:
            change = _ca_change(name, before, old, after, new)
            if change is not None:
                found.append(change)
    return tuple(found)


def _ca_change(
    mesh: str, before: MeshState, old: MeshSpec, after: MeshState, new: MeshSpec
) -> CaChange | None:
    assert old.mtls is not None
    assert new.mtls is not None
    was = _blocks(authority(before, mesh, old.mtls).cert_pem)
    now = _blocks(authority(after, mesh, new.mtls).cert_pem)
    trusted_before = _blocks(trusted_pem(before, mesh, old) or b"")
    trusted_after = _blocks(trusted_pem(after, mesh, new) or b"")
    if not (was and now and trusted_before and trusted_after):
        return None  # Not known: nothing can be said.
    cure = "list both backends, wait until that commit is everywhere, enable the new one, then "
    if not now & trusted_before:
        text = f'nobody trusts the CA of backend "{new.mtls.name}" yet; {cure}remove the old one'
        return CaChange(mesh, fault=text)
    if not was & trusted_after:
        text = (
            f'certificates of the CA that is in force (backend "{old.mtls.name}") are in use; '
            f"{cure}remove the old one"
        )
        return CaChange(mesh, fault=text)
    return CaChange(mesh, waits=True) if was != now or trusted_before - trusted_after else None


def _blocks(pem: bytes) -> frozenset[bytes]:
    """The certificates of a PEM, however it is laid out."""
    parts = pem.replace(b"\r", b"").split(b"-----BEGIN CERTIFICATE-----")[1:]
    return frozenset(b"".join(p.partition(b"-----END")[0].split()) for p in parts)


def expiry_warnings(state: MeshState, now: float) -> tuple[str, ...]:
    """CAs that expire soon, have expired, or cannot be read; sorted."""
    told: list[str] = []
    for mesh in state.of("Mesh"):
        spec = mesh.spec if isinstance(mesh.spec, MeshSpec) else MeshSpec(None)
        for backend in spec.backends:
            pem = authority(state, mesh.key.name, backend).cert_pem
            text = _expiry(pem, now) if pem else ""
            if text:
                name = f"mesh {mesh.key.name}: the CA of backend {backend.name}"
                told.append(f"{name} {text}")
    return tuple(sorted(told)[:EXPIRED_MAX])


def _expiry(pem: bytes, now: float) -> str:
    try:
        end = not_after(pem)
    except ValueError as error:
        return f"cannot be read: {error}"
    if end - now >= WARN_S:
        return ""
    when = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M UTC")
    cure = "add a second backend, wait until it is everywhere, enable it, remove this one"
    return f"{'expired' if end <= now else 'expires'} on {when}: {cure}"
