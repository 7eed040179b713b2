"""What the simulated repository and proxies hold. Every commit carries its number, so that mixtures
show.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey

MESH = """\
type: Mesh
name: default
mtls:
  enabledBackend: ca-1
  backends:
    - {name: ca-1, type: builtin}
"""

TIMEOUT = """\
type: MeshTimeout
mesh: default
name: numbered
spec:
  targetRef: {{kind: Mesh}}
  to:
    - targetRef: {{kind: Mesh}}
      default: {{connectionTimeout: {number}ms}}
"""

PERMISSION = """\
type: MeshTrafficPermission
mesh: default
name: numbered
labels: {{number: "n{number}"}}
spec:
  targetRef: {{kind: Mesh}}
  from:
    - targetRef: {{kind: Mesh}}
      default: {{action: {action}}}
"""


def commit_files(number: int, *, mistake: bool = False) -> dict[str, str]:
    """Path -> text. Two policies carry the number; a mistake is a timeout of 0s."""
    timeout = TIMEOUT.format(number=0 if mistake else number)
    action = "Deny" if number % 3 == 0 else "Allow"
    return {
        "mesh.yaml": MESH,
        "timeout.yaml": timeout,
        "permission.yaml": PERMISSION.format(number=number, action=action),
    }


@lru_cache(maxsize=1)
def secrets() -> tuple[MeshResource, ...]:
    """The CA of the mesh as the global would send it; nothing here is parsed as a certificate."""
    names = ("default.ca-builtin-cert-ca-1", "default.ca-builtin-key-ca-1")
    data = {"data": base64.b64encode(b"simulated").decode()}
    return tuple(
        mesh_resource(ResourceKey("Secret", "default", name), Labels(), data) for name in names
    )


def proxies_of(zone: str) -> list[dict[str, object]]:
    """An ingress, a caller and a backend in every zone."""
    host = {"east": "10.0.1", "west": "10.0.2"}[zone]
    return [
        {
            "type": "ZoneIngress",
            "name": f"ingress-{zone}",
            "networking": {
                "address": f"{host}.1",
                "port": 10001,
                "advertisedAddress": f"{host}.1",
                "advertisedPort": 10001,
            },
        },
        _dataplane(f"caller-{zone}", f"{host}.2", "caller", {"backend": 10002}),
        _dataplane(f"backend-{zone}", f"{host}.3", "backend", {}),
    ]


def _dataplane(
    name: str, address: str, service: str, outbounds: dict[str, int]
) -> dict[str, object]:
    return {
        "type": "Dataplane",
        "mesh": "default",
        "name": name,
        "networking": {
            "address": address,
            "inbound": [
                {
                    "port": 8080,
                    "servicePort": 8000,
                    "tags": {"kuma.io/service": service, "kuma.io/protocol": "http"},
                }
            ],
            "outbound": [
                {"port": port, "tags": {"kuma.io/service": to}} for to, port in outbounds.items()
            ],
        },
    }
