"""A repository of many policies: ten kinds, a folder per hundred services, one file a policy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.git_repos import git

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FOLDER_SIZE = 100
MESH = "type: Mesh\nname: default\n"
_HTTP = {"http": {"requestTimeout": "5s", "streamIdleTimeout": "1m"}}
_RETRY = {"numRetries": 3, "perTryTimeout": "1s", "retryOn": ["5xx", "ConnectFailure"]}
_LIMITS = {"maxConnections": 100, "maxPendingRequests": 50, "maxRequests": 200, "maxRetries": 3}
_DETECTORS = {"totalFailures": {"consecutive": 10}}
_OUTLIERS = {
    "interval": "10s",
    "baseEjectionTime": "30s",
    "maxEjectionPercent": 20,
    "detectors": _DETECTORS,
}
_TOO_MANY = {"status": 429, "headers": {"add": [{"name": "x-limited", "value": "true"}]}}
# kind -> (section, default); of MeshHTTPRoute the rules
KINDS: dict[str, tuple[str, dict[str, object]]] = {
    "MeshTimeout": ("to", {"connectionTimeout": "2s", "idleTimeout": "1h", **_HTTP}),
    "MeshTrafficPermission": ("from", {"action": "Allow"}),
    "MeshHTTPRoute": ("to", {}),
    "MeshRetry": ("to", {"http": _RETRY, "tcp": {"maxConnectAttempt": 3}}),
    "MeshCircuitBreaker": ("to", {"connectionLimits": _LIMITS, "outlierDetection": _OUTLIERS}),
    "MeshRateLimit": (
        "from",
        {"local": {"http": {"requestRate": {"num": 100, "interval": "10s"},
                            "onRateLimit": _TOO_MANY}}},
    ),
    "MeshHealthCheck": (
        "to", {"interval": "10s", "timeout": "2s", "unhealthyThreshold": 3, "tcp": {}}
    ),
    "MeshAccessLog": ("to", {"backends": [{"type": "File", "file": {"path": "/dev/stdout"}}]}),
    "MeshFaultInjection": (
        "from", {"http": [{"abort": {"httpStatus": 500, "percentage": "2.5"}}]}
    ),
    "MeshLoadBalancingStrategy": (
        "to", {"loadBalancer": {"type": "LeastRequest", "leastRequest": {"choiceCount": 4}}}
    ),
}  # fmt: skip

SIDECARS = ("MeshRateLimit", "MeshFaultInjection")  # where gateways have no `from`


def path(number: int) -> str:
    return f"policies/{number // FOLDER_SIZE:03}/{number:05}.yaml"


def policy(number: int, value: int = 0) -> str:
    """`value` in one of its labels is what a change changes."""
    kind, (section, default) = list(KINDS.items())[number % len(KINDS)]
    item: dict[str, object] = {"targetRef": _service(number + 1)}
    if kind == "MeshHTTPRoute":
        match = {"path": {"type": "PathPrefix", "value": f"/v{number}"}}
        item["rules"] = [{"matches": [match], "default": _split(number + 1)}]
    else:
        item["default"] = default
    if section == "from":
        item["targetRef"] = {"kind": "MeshSubset", "tags": {"kuma.io/service": service(number + 1)}}
        if kind == "MeshRateLimit":
            item["targetRef"] = {"kind": "Mesh"}
    target: dict[str, object] = {"kind": "MeshSubset", "tags": {"kuma.io/service": service(number)}}
    if kind in SIDECARS:
        target["proxyTypes"] = ["Sidecar"]
    spec = {"targetRef": target, section: [item]}
    labels = {"team": f"team-{number % 40}", "change": f"n{value}"}
    document = {"type": kind, "mesh": "default", "name": f"p-{number:05}", "labels": labels}
    return _yaml({**document, "spec": spec})


def service(number: int) -> str:
    return f"service-{number // len(KINDS):04}"


def _service(number: int) -> dict[str, object]:
    return {"kind": "MeshService", "name": service(number)}


def _split(number: int) -> dict[str, object]:
    return {"backendRefs": [{**_service(number), "weight": 90}, {**_service(0), "weight": 10}]}


def _yaml(value: object, indent: str = "") -> str:
    """Block style, as people write it."""
    if isinstance(value, dict) and value:
        return "".join(f"{indent}{key}:{_inner(inner, indent)}" for key, inner in value.items())
    if isinstance(value, list) and value:
        return "".join(_item(inner, indent) for inner in value)
    return f"{indent}{json.dumps(value)}\n"


def _inner(value: object, indent: str) -> str:
    nested = isinstance(value, dict | list) and bool(value)
    return "\n" + _yaml(value, indent + "  ") if nested else f" {json.dumps(value)}\n"


def _item(value: object, indent: str) -> str:
    return f"{indent}- " + _yaml(value, indent + "  ").removeprefix(indent + "  ")


def repository(folder: Path, count: int, more: dict[str, str] | None = None) -> Path:
    """A bare repository with `count` policies, and a clone of it to push from; returns the
    latter.
    """
    bare, work = folder / "policy.git", folder / "work"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(folder, "init", "--quiet", "--initial-branch=main", str(work))
    git(work, "remote", "add", "origin", str(bare))
    write(work, {"mesh.yaml": MESH, **(more or {})})
    write(work, {path(number): policy(number) for number in range(count)})
    commit(work, ".", "all policies")
    git(work, "push", "--quiet", "--set-upstream", "origin", "main")
    return work


def write(work: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def commit(work: Path, where: str, message: str) -> str:
    git(work, "add", where)
    git(work, "commit", "--quiet", "--message", message)
    return git(work, "rev-parse", "HEAD")


def change(work: Path, numbers: Iterable[int], value: int) -> str:
    """Commits another value of these policies; returns the commit."""
    write(work, {path(number): policy(number, value) for number in numbers})
    return commit(work, "policies", f"value {value}")
