"""What is made of a route that validates is taken by a real Envoy; what Envoy would refuse is left
out, and told where it is written. A refused route would hold up every later change of its listener.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.load import Blob, LoadMemo, load
from reconciler.model.resource import Labels, ResourceKey
from reconciler.offline import proxies_of, rendered
from reconciler.problems import has_errors
from tests.support.real_envoy import envoy_binary
from xds.readable import readable_snapshot

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

EVERYTHING = {"path": {"type": "PathPrefix", "value": "/"}}
BACKEND = {"kind": "MeshService", "name": "backend"}
PROXIES: dict[str, dict[str, Any]] = {
    "web": {
        "type": "Dataplane",
        "mesh": "default",
        "name": "web",
        "networking": {
            "address": "10.0.0.1",
            "outbound": [{"port": 10001, "tags": {"kuma.io/service": "backend"}}],
        },
    },
    "backend": {
        "type": "Dataplane",
        "mesh": "default",
        "name": "backend",
        "networking": {
            "address": "10.0.0.2",
            "inbound": [
                {
                    "port": 80,
                    "servicePort": 8080,
                    "tags": {"kuma.io/service": "backend", "kuma.io/protocol": "http"},
                }
            ],
        },
    },
}


def documents(match: Any, default: Any) -> str:
    rule = {"matches": [match], "default": default}
    to = {"targetRef": {"kind": "MeshService", "name": "backend"}, "rules": [rule]}
    route = {"type": "MeshHTTPRoute", "name": "r", "mesh": "default", "spec": {"to": [to]}}
    return f"{json.dumps({'type': 'Mesh', 'name': 'default'})}\n---\n{json.dumps(route)}\n"


def envoy_takes(match: Any, default: Any, folder: Path) -> bool:
    """Whether Envoy takes what we make of it, with our verdict left aside."""
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
    document = json.loads(documents(match, default).split("---")[1])
    route = mesh_resource(ResourceKey("MeshHTTPRoute", "default", "r"), Labels(), document["spec"])
    proxies = proxies_of(PROXIES, "east")
    web = next(proxy.key for proxy in proxies if proxy.key.name == "web")
    snapshot: Any = readable_snapshot(rendered((mesh, route), proxies, (), web, "east").snapshot)
    static = [
        {**{k: v for k, v in cluster.items() if k != "edsClusterConfig"}, "type": "STATIC"}
        for cluster in snapshot["clusters"]
    ]
    limit = {"re2.max_program_size.error_level": 4294967295}  # as in our bootstrap
    config = {
        "layered_runtime": {"layers": [{"name": "a", "static_layer": limit}]},
        "static_resources": {"clusters": static, "listeners": snapshot["listeners"]},
    }
    file = folder / "bootstrap.json"
    file.write_text(json.dumps(config))
    command = [envoy_binary(), "--mode", "validate", "-c", str(file), "-l", "off"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def headers(**change: Any) -> dict[str, Any]:
    kind, member = "RequestHeaderModifier", "requestHeaderModifier"
    return {"filters": [{"type": kind, member: change}]}


def setting(name: str, value: str) -> dict[str, Any]:
    return headers(set=[{"name": name, "value": value}])


def rewrite(**change: Any) -> dict[str, Any]:
    return {"filters": [{"type": "URLRewrite", "urlRewrite": change}]}


def path(kind: str, member: str, value: str) -> dict[str, Any]:
    return rewrite(path={"type": kind, member: value})


def weighted(first: int, second: int) -> dict[str, Any]:
    subset = {"kind": "MeshServiceSubset", "name": "backend", "tags": {"version": "v1"}}
    return {"backendRefs": [{**BACKEND, "weight": first}, {**subset, "weight": second}]}


DEFAULTS = {
    "plain value": (setting("x-a", "b"), True),
    "command": (setting("x-a", "%PROTOCOL%"), True),
    "command with a percent sign": (setting("x-a", "t=%START_TIME(%s)%"), True),
    "commands in a row": (setting("x-a", "%PROTOCOL%%REQ(x-b?x-c):5%"), True),
    "two percent signs": (setting("x-a", "50%%"), True),
    "percent sign": (setting("x-a", "50%"), False),
    "percent signs alone": (setting("x-a", "50% of 30%"), False),
    "line break in a value": (setting("x-a", "a\nb"), False),
    "host set": (setting("host", "a"), False),
    "host removed": (headers(remove=["Host"]), False),
    "path removed": (headers(remove=[":path"]), False),
    "no name removed": (headers(remove=[""]), False),
    "line break removed": (headers(remove=["a\nb"]), False),
    "host name": (rewrite(hostname="a.example.org"), True),
    "line break in a host name": (rewrite(hostname="a\nb"), False),
    "path": (path("ReplaceFullPath", "replaceFullPath", "/a"), True),
    "line break in a path": (path("ReplaceFullPath", "replaceFullPath", "/a\n"), False),
    "line break in a prefix": (path("ReplacePrefixMatch", "replacePrefixMatch", "/a\nb"), False),
    "weights": (weighted(4294967294, 1), True),
    "weights over 32 bits": (weighted(4294967295, 1), False),
}
REGEXES = {
    "/[a-z]+": True,
    r"/\p{L}+": True,
    "/[[:alpha:]]+": True,
    "/a(?i)b": True,
    "(?s)/.*": True,
    "/(?P<name>a)b": True,
    r"/[*+?}]+\++": True,
    r"/\x{41}+": True,
    "/a{1000}": True,
    "/a{1001}": False,
    "/a++": False,
    "/(?>a)": False,
    "/(?#a)": False,
    r"/a\Z": False,
    r"/a\\Z": True,
    r"/\u0041": False,
    "/(?=a)": False,
    r"/(a)\1": False,
    r"/(a)\\1": True,
    "/(a": False,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_envoy_takes_what_is_made_of_a_change_and_who_loses_by_that_is_told(
    name: str, tmp_path: Path
) -> None:
    """Kuma takes more than Envoy: of that, a part is left out, with a warning."""
    default, whole = DEFAULTS[name]
    found = load({"r.yaml": Blob("", documents(EVERYTHING, default).encode())}, LoadMemo())
    assert has_errors(found.problems) or envoy_takes(EVERYTHING, default, tmp_path)
    assert (found.problems == ()) is whole, found.problems


@pytest.mark.parametrize("regex", REGEXES)
def test_envoy_takes_what_is_made_of_an_expression_or_it_is_told(
    regex: str, tmp_path: Path
) -> None:
    match = {"path": {"type": "RegularExpression", "value": regex}}
    found = load({"r.yaml": Blob("", documents(match, {}).encode())}, LoadMemo())
    assert has_errors(found.problems) or envoy_takes(match, {}, tmp_path)
    assert (found.problems == ()) is REGEXES[regex], found.problems
