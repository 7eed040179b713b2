"""A zone whose proxies make MeshServices, and what these say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.steps import zone_state as z
from tests.support.zone import Zone, dataplane

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.resource import XdsResource


SINCE = "kuma.io/deletion-grace-period-started-at"
HOUR = 3600.0
MTLS = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}
GENERATOR_REF = {"hostnameGeneratorRef": {"coreName": "local-universal-mesh-service"}}
GENERATED = {"type": "Generated", "status": "True", "reason": "Generated", "message": ""}
NAMED = {
    "addresses": [
        {"hostname": "backend.svc.mesh.local", "origin": "HostnameGenerator", **GENERATOR_REF}
    ],
    "hostnameGenerators": [{**GENERATOR_REF, "conditions": [GENERATED]}],
    "vips": [{"ip": "241.0.0.0"}],
}
CA = tuple(
    mesh_resource(ResourceKey("Secret", "default", f"default.{name}"), Labels(), {"data": "eA=="})
    for name in ("ca-builtin-cert-ca", "ca-builtin-key-ca")
)


def mesh(mode: str = "Everywhere", **more: object) -> MeshResource:
    data = {"meshServices": {"mode": mode}, **more}
    return mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), data)


def made_by(service: str, name: str = "") -> dict[str, Any]:
    return dataplane(name or f"{service}-0", service)


def at_port(name: str, port: int) -> dict[str, Any]:
    document = made_by("backend", name)
    document["networking"]["inbound"][0]["port"] = port
    return document


def found(made: Zone, name: str = "backend") -> MeshResource | None:
    return made.state.local.get(ResourceKey("MeshService", "default", name))


def one(made: Zone, name: str = "backend") -> MeshResource:
    service = found(made, name)
    assert service is not None
    return service


def spec(made: Zone, name: str = "backend") -> Mapping[str, Any]:
    return dict(json.loads(one(made, name).body))


def status(made: Zone, name: str = "backend") -> Mapping[str, Any]:
    return dict(json.loads(one(made, name).status or "null"))


def notes(made: Zone, event: str) -> list[Mapping[str, object]]:
    return [note.fields for note in made.noted if note.event == event]


def restarted(made: Zone, *policies: MeshResource) -> Zone:
    """The zone again, with what stands on its disk."""
    after = Zone(z.ZoneState(settings=made.state.settings), now=made.now)
    local = tuple(r for r in made.state.local.all() if r.key.type != "HostnameGenerator")
    after.deliver(z.Restored(made.now, policies or made.state.policy.all(), local=local))
    return after


def one_key(name: str) -> ResourceKey:
    return ResourceKey("MeshService", "default", name)


def published(made: Zone) -> list[XdsResource]:
    """What the global is told of MeshServices."""
    return list(made.state.published.types["MeshService"].values())
