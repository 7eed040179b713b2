"""What the traced world holds: two meshes with mTLS, eight services, 40 sidecars and two ingresses
in two zones.

In mesh `default` service `s<i>` (of six) calls `s<i+1>`, and all call `s0`; three proxies each and
zone. In mesh `other` `t0` and `t1` call each other; one proxy each and zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.trace.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SERVICES = 6
INSTANCES = 3  # of each, in each zone
ZONES = ("east", "west")

MESH = """\
type: Mesh
name: {name}
mtls:
  enabledBackend: ca
  backends:
    - {{name: ca, type: builtin}}
"""
PERMISSION = """\
type: MeshTrafficPermission
mesh: {mesh}
name: all
spec:
  targetRef: {{kind: Mesh}}
  from:
    - targetRef: {{kind: Mesh}}
      default: {{action: Allow}}
"""
TIMEOUT = """\
type: MeshTimeout
mesh: {mesh}
name: by-{service}  # before the default, which otherwise wins
spec:
  targetRef: {{kind: Mesh}}
  to:
    - targetRef: {{kind: MeshService, name: {service}}}
      default: {{connectionTimeout: {milliseconds}ms}}
"""


def timeout(service: str, milliseconds: int, mesh: str = "default") -> str:
    return TIMEOUT.format(mesh=mesh, service=service, milliseconds=milliseconds)


def reordered(text: str) -> str:
    """The same document with its first fields in another order."""
    first, second, *rest = text.splitlines(keepends=True)
    return "".join((second, first, *rest))


def files() -> dict[str, str]:
    return {
        "default/mesh.yaml": MESH.format(name="default"),
        "default/permission.yaml": PERMISSION.format(mesh="default"),
        "default/s1.yaml": timeout("s1", 1000),
        "default/s2.yaml": timeout("s2", 1000),
        "other/mesh.yaml": MESH.format(name="other"),
        "other/permission.yaml": PERMISSION.format(mesh="other"),
        "other/t0.yaml": timeout("t0", 1000, "other"),
    }


def sidecar(
    name: str, service: str, at: str, *calls: str, mesh: str = "default"
) -> dict[str, object]:
    tags = {"kuma.io/service": service, "kuma.io/protocol": "http"}
    outbound = [
        {"port": 10001 + i, "tags": {"kuma.io/service": called}} for i, called in enumerate(calls)
    ]
    inbound = [{"port": 80, "servicePort": 8080, "tags": tags}]
    networking = {"address": at, "inbound": inbound, "outbound": outbound}
    return {"type": "Dataplane", "mesh": mesh, "name": name, "networking": networking}


def ingress(zone: str) -> dict[str, object]:
    public = f"203.0.113.{_number(zone)}"
    networking = {
        "address": f"10.{_number(zone)}.0.1",
        "port": 10001,
        "advertisedAddress": public,
        "advertisedPort": 10001,
    }
    return {"type": "ZoneIngress", "name": f"ingress-{zone}", "networking": networking}


def instance(zone: str, service: int, number: int) -> dict[str, object]:
    """Of service `s<service>`."""
    calls = dict.fromkeys((0, (service + 1) % SERVICES))
    at = f"10.{_number(zone)}.{service + 1}.{number + 1}"
    return sidecar(
        f"s{service}-{number}-{zone}", f"s{service}", at, *(f"s{called}" for called in calls)
    )


def _number(zone: str) -> int:
    return ("east", "west", "north").index(zone) + 1


def world(folder: Path, keys: Path, renewals: Mapping[str, float] | None = None) -> World:
    """All served and quiet. `renewals`: see `World`."""
    made = World(folder, keys, files())
    made.renewals |= renewals or {}
    for zone in ZONES:
        made.join(zone)
    made.settle()
    for zone in ZONES:
        made.start(zone, ingress(zone))
        for number in range(INSTANCES):
            for service in range(SERVICES):
                made.start(zone, instance(zone, service, number))
        for i in range(2):
            at = f"10.{_number(zone)}.9.{i + 1}"
            made.start(zone, sidecar(f"t{i}-{zone}", f"t{i}", at, f"t{1 - i}", mesh="other"))
        made.settle()
    made.settle()
    return made
