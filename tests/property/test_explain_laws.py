"""What an explanation says holds: without the policy that is named a value is another, and without
a loser it is not.
"""

from __future__ import annotations

import json
import random
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.decode import mesh_resource
from reconciler.defaults import with_defaults
from reconciler.explain.causes import How, Place
from reconciler.explain.explained import Explained, Explanation, explain
from reconciler.explain.paths import at, differences, leaves
from reconciler.explain.world import TYPES, world
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.offline import Offline, proxies_of
from reconciler.state import from_resources
from tests.support.mesh import a_policy
from xds.readable import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.problems import Path

WEB = ResourceKey("Dataplane", "default", "web")
SERVICES = ("api", "shop", "cart")
MTLS = {"mtls": {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}}
FIELDS = ("connectionTimeout", "idleTimeout", "requestTimeout", "streamIdleTimeout")
Json = dict[str, Any]


def proxy(name: str, address: str, **more: Any) -> Json:
    tags = {"kuma.io/service": name, "kuma.io/protocol": "http"}
    inner = {"address": address, "inbound": [{"port": 80, "tags": tags}], **more}
    return {"type": "Dataplane", "mesh": "default", "name": name, "networking": inner}


@cache
def proxies() -> tuple[MeshResource, ...]:
    calls = [{"port": 81 + n, "tags": {"kuma.io/service": s}} for n, s in enumerate(SERVICES)]
    files = {s: proxy(s, f"10.0.1.{n}") for n, s in enumerate(SERVICES)}
    return proxies_of({**files, "web": proxy("web", "10.0.0.1", outbound=calls)}, "east")


def target(draw: random.Random) -> Json:
    return draw.choice(
        (
            {"kind": "Mesh"},
            {"kind": "Mesh"},
            {"kind": "MeshSubset", "tags": {"kuma.io/service": "web"}},
            {"kind": "MeshService", "name": draw.choice(("web", "web", "api"))},
            {"kind": "MeshHTTPRoute", "name": f"r{draw.randint(0, 2)}"},
        )
    )


def towards(draw: random.Random) -> Json:
    service = {"kind": "MeshService", "name": draw.choice(SERVICES)}
    return draw.choice(({"kind": "Mesh"}, service, service))


def a_timeout(draw: random.Random, name: str, seconds: count[int]) -> MeshResource:
    """No two say the same, nor what is built in."""

    def conf() -> Json:
        chosen = draw.sample(FIELDS, draw.randint(1, 4))
        said = {field: f"{next(seconds)}s" for field in chosen}
        http = {f: said.pop(f) for f in FIELDS[2:] if f in said}
        return said | ({"http": http} if http else {})

    section = draw.choice(("to", "to", "to", "from"))
    about = (lambda: {"kind": "Mesh"}) if section == "from" else (lambda: towards(draw))
    items = [{"targetRef": about(), "default": conf()} for _ in range(draw.randint(1, 2))]
    whom = {"kind": "Mesh"} if section == "from" else target(draw)
    return a_policy("MeshTimeout", name, {"targetRef": whom, section: items})


def a_route(draw: random.Random, name: str, weights: count[int]) -> MeshResource:
    backends = [
        {"kind": "MeshServiceSubset", "name": s, "tags": {"v": f"{n}"}, "weight": next(weights)}
        for n, s in enumerate(draw.sample(SERVICES, draw.randint(1, 2)))
    ]
    path = {"type": draw.choice(("Exact", "PathPrefix")), "value": f"/{draw.randint(0, 2)}"}
    rule = {"matches": [{"path": path}], "default": {"backendRefs": backends}}
    whole = {"kind": "MeshService", "name": draw.choice(SERVICES)}
    spec = {"targetRef": {"kind": "Mesh"}, "to": [{"targetRef": whole, "rules": [rule]}]}
    return a_policy("MeshHTTPRoute", name, spec)


def a_permission(draw: random.Random, name: str) -> MeshResource:
    items = [
        {"targetRef": towards(draw), "default": {"action": draw.choice(("Allow", "Deny"))}}
        for _ in range(draw.randint(1, 2))
    ]
    return a_policy("MeshTrafficPermission", name, {"targetRef": {"kind": "Mesh"}, "from": items})


def repository(draw: random.Random) -> tuple[MeshResource, ...]:
    seconds, weights = count(101), count(7)
    policies = [
        *(a_timeout(draw, f"t{n}", seconds) for n in range(draw.randint(2, 6))),
        *(a_route(draw, f"r{n}", weights) for n in range(draw.randint(0, 3))),
        *(a_permission(draw, f"p{n}") for n in range(draw.randint(0, 3))),
    ]
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), MTLS)
    return (*with_defaults((mesh, *policies)), *proxies())


Documents = dict[tuple[str, str], Any]


def rendered(resources: tuple[MeshResource, ...], without: ResourceKey | None = None) -> Documents:
    """Anew, of all there is."""
    state = from_resources(r for r in resources if r.key != without)
    found = Offline(WEB, "east").rendered(state).snapshot
    return {(t, name): readable(r) for t in TYPES for name, r in found.of(t).items()}


class Told:
    def __init__(self, seed: int) -> None:
        self.resources = repository(random.Random(seed))
        self.found: Explanation = explain(world(Offline(WEB, "east"), self.resources))
        self.now = rendered(self.resources)
        self._without: dict[ResourceKey, dict[tuple[str, str, Path], Any]] = {}

    def without(self, key: ResourceKey) -> dict[tuple[str, str, Path], Any]:
        """What is another without it, and what it is then."""
        if key not in self._without:
            then = rendered(self.resources, key)
            found: dict[tuple[str, str, Path], Any] = {}
            for (type_url, name), document in self.now.items():
                if (type_url, name) not in then:
                    found |= {(type_url, name, path): None for path, _ in leaves(document)}
                    continue
                for path, _, value in differences(document, then[type_url, name]):
                    found[type_url, name, path] = value
            self._without[key] = found
        return self._without[key]

    def said(self, place: Place) -> Any:
        (resource,) = (r for r in self.resources if r.key == place.key)
        return at(json.loads(resource.body), place.path)


def of_policies(each: Explained) -> set[ResourceKey]:
    kinds = ("MeshTimeout", "MeshHTTPRoute", "MeshTrafficPermission")
    return {place.key for place in each.places if place.key.type in kinds}


@given(st.integers(0, 2**32))
@example(222)  # A caller's name moves to where another policy's was.
@settings(max_examples=15)
def test_an_explanation_holds(seed: int) -> None:
    told = Told(seed)
    for law in (
        without_the_policy_that_is_named_a_value_is_another,
        without_a_loser_nothing_is_another_there,
        without_the_winner_the_first_loser_decides,
        a_value_that_one_policy_says_comes_from_the_line_that_says_it,
        all_values_are_told_once_and_idle_policies_change_nothing,
    ):
        assert list(law(told)) == [], law.__name__


# Each law yields what breaks it.


def without_the_policy_that_is_named_a_value_is_another(told: Told) -> Iterator[object]:
    """Or one that lost has said the same; defaults of the mesh, and who denies all, say what is
    built in, too.
    """
    for each in told.found.values:
        for key in of_policies(each):
            if each.spot in told.without(key) or "timeout-all" in key.name:
                continue
            if key.type == "MeshTimeout" or not (each.over or each.value == {}):
                yield each


def without_a_loser_nothing_is_another_there(told: Told) -> Iterator[object]:
    for each in told.found.values:
        for place in each.over:
            if place.key not in of_policies(each) and each.spot in told.without(place.key):
                yield each


def without_the_winner_the_first_loser_decides(told: Told) -> Iterator[object]:
    """Where timeouts of a route hold, others lose against them whatever they say."""
    if any('{"kind":"MeshHTTPRoute"' in r.body for r in told.resources):
        return
    for each in told.found.values:
        winners = of_policies(each)
        if each.how is not How.VALUE or {key.type for key in winners} != {"MeshTimeout"}:
            continue
        (winner,) = winners
        if each.over and all(place.key != winner for place in each.over):
            then = told.without(winner)[each.spot]
            if told.said(each.over[0]) not in _spellings(then):
                yield each


def _spellings(value: object) -> tuple[str, ...]:
    """`3600s` as the defaults of a mesh write it, too."""
    seconds = int(str(value).removesuffix("s"))
    hours, rest = divmod(seconds, 3600)
    return str(value), f"{hours}h0m0s", f"{seconds // 60}m0s", f"{hours}h{rest // 60}m0s"


def a_value_that_one_policy_says_comes_from_the_line_that_says_it(told: Told) -> Iterator[object]:
    for each in told.found.values:
        if isinstance(each.value, str) and each.value[:-1].isdigit():
            said = [told.said(place) for place in each.places if place.path]
            if 101 <= int(each.value[:-1]) < 200 and said != [each.value]:
                yield each


def all_values_are_told_once_and_idle_policies_change_nothing(told: Told) -> Iterator[object]:
    spots = [(*key, path) for key, d in told.now.items() for path, _ in leaves(d)]
    if sorted(map(str, spots)) != sorted(str(each.spot) for each in told.found.values):
        yield spots
    for key in told.found.idle:
        named = [each for each in told.found.values if key in of_policies(each)]
        if told.without(key) or not all(each.value == {} or each.over for each in named):
            yield key
