"""What the simulated repository and proxies hold. Every commit carries its number, so that mixtures
show.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey

MESH = """\
type: Mesh
name: default
meshServices: {{mode: Everywhere}}
mtls:
  enabledBackend: ca-{enabled}
  backends:
{backends}"""
BACKEND_LINE = "    - {{name: ca-{name}, type: builtin}}\n"
ZONE = "type: Zone\nname: {name}\nenabled: {enabled}\n"

PLAIN_MESH = """\
type: Mesh
name: plain
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

ROUTE = """\
type: MeshHTTPRoute
mesh: default
name: split
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: MeshService, name: backend}
      rules:
        - matches: [{path: {type: PathPrefix, value: /}}]
          default:
            backendRefs:
              - {kind: MeshServiceSubset, name: backend, tags: {version: v1}, weight: 90}
              - {kind: MeshServiceSubset, name: backend, tags: {version: v2}, weight: 10}
"""


@dataclass(frozen=True)
class Content:
    """What a commit says. `number` stands in its policies; `mistake` is a way to be wrong."""

    number: int
    mistake: str = ""
    permission: bool = True
    route: bool = False
    plain_mesh: bool = False
    cas: tuple[int, ...] = (1,)  # CAs of the mesh; the first one signs
    zones: tuple[str, ...] = ()  # that have a Zone resource
    disabled: str = ""  # one of them
    revoked: str = ""  # whose token is no longer good

    @property
    def envoys_refuse(self) -> bool:
        """Nothing is wrong with it but that Envoy does not take its clusters."""
        return refused_timeout(self.number)


MISTAKES = ("timeout of 0s", "no YAML", "unknown kind")


def refused_timeout(milliseconds: int) -> bool:
    """Which connect timeouts the simulated Envoys take exception to: some of the numbered ones."""
    return is_number(milliseconds) and milliseconds % 5 == 0


def is_number(milliseconds: int) -> bool:
    """Whether a connect timeout is a commit's number and no default of the mesh."""
    return 0 < milliseconds < 1000


def commit_files(content: Content) -> dict[str, str]:
    """Path -> text."""
    number = content.number
    shown = 0 if content.mistake == "timeout of 0s" else number
    backends = "".join(BACKEND_LINE.format(name=ca) for ca in sorted(content.cas))
    mesh = MESH.format(enabled=content.cas[0], backends=backends)
    files = {"mesh.yaml": mesh, "timeout.yaml": TIMEOUT.format(number=shown)}
    if content.permission:
        action = "Deny" if number % 3 == 0 else "Allow"
        files["permission.yaml"] = PERMISSION.format(number=number, action=action)
    if content.route:
        files["route.yaml"] = ROUTE
    for name in content.zones:
        enabled = str(name != content.disabled).lower()
        files[f"zone-{name}.yaml"] = ZONE.format(name=name, enabled=enabled)
    if content.plain_mesh:
        files["plain.yaml"] = PLAIN_MESH
    if content.mistake == "no YAML":
        files["broken.yaml"] = "type: [\n"
    if content.mistake == "unknown kind":
        files["broken.yaml"] = "type: MeshTimeuot\nmesh: default\nname: typo\n"
    return files


@lru_cache(maxsize=100)
def secrets(cas: tuple[int, ...], revoked: str) -> tuple[MeshResource, ...]:
    """The CAs of the mesh and its list of revoked tokens as the global would send them; nothing
    here is parsed as a certificate.
    """
    values = {
        f"default.ca-builtin-{part}-ca-{ca}": f"simulated {ca}"
        for ca in cas
        for part in ("cert", "key")
    }
    values["dataplane-token-revocations-default"] = revoked
    return tuple(
        mesh_resource(ResourceKey("Secret", "default", name), Labels(), {"data": _base64(value)})
        for name, value in values.items()
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


HOSTS = {"east": "10.0.1", "west": "10.0.2"}
INGRESS, CALLER, BACKEND, SPARE, LEDGER = 1, 2, 3, 4, 5  # the last part of each one's address


def address(zone: str, host: int) -> str:
    return f"{HOSTS[zone]}.{host}"


def proxies_of(zone: str, *, plain_mesh: bool) -> list[dict[str, object]]:
    """An ingress, a caller and a backend in every zone; a second backend that comes and goes;
    in some worlds a service of another mesh.
    """
    version = {"version": "v1" if zone == "east" else "v2"}
    at = address(zone, INGRESS)
    ingress: dict[str, object] = {
        "type": "ZoneIngress",
        "name": f"ingress-{zone}",
        "networking": {
            "address": at,
            "port": 10001,
            "advertisedAddress": at,
            "advertisedPort": 10001,
        },
    }
    found = [
        ingress,
        _dataplane(f"caller-{zone}", address(zone, CALLER), "caller", calls="backend"),
        _dataplane(f"backend-{zone}", address(zone, BACKEND), "backend", tags=version),
        _dataplane(f"spare-{zone}", address(zone, SPARE), "backend", tags=version),
    ]
    if plain_mesh:
        ledger = _dataplane(f"ledger-{zone}", address(zone, LEDGER), "ledger", calls="ledger")
        found.append(ledger | {"mesh": "plain"})
    return found


def _dataplane(
    name: str, at: str, service: str, *, calls: str = "", tags: dict[str, str] | None = None
) -> dict[str, object]:
    tags = {"kuma.io/service": service, "kuma.io/protocol": "http"} | (tags or {})
    outbound = [{"port": 10002, "tags": {"kuma.io/service": calls}}] if calls else []
    return {
        "type": "Dataplane",
        "mesh": "default",
        "name": name,
        "networking": {
            "address": at,
            "inbound": [{"port": 8080, "servicePort": 8000, "tags": tags}],
            "outbound": outbound,
        },
    }
