"""What a plan predicts is what happens: the configuration that it computes from Git alone is, byte
for byte, what the zones' steps hand to their proxies once the change is merged.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.defaults import with_defaults
from reconciler.planning.effect import TYPES, representatives, snapshot_of, views_of, xds_changes
from reconciler.planning.fleet import zone_fleet
from reconciler.planning.plan import plan
from reconciler.planning.worlds import ingresses_of, policies_of, zone_worlds
from reconciler.state import diff
from reconciler.status.document import Inventory
from tests.support.plans import (
    Document,
    RealZone,
    dataplane,
    ingress,
    loaded,
    real_zone,
)
from tests.support.plans import (
    ingresses_of as relayed,
)
from xds.readable import readable
from xds.translate import Builders

if TYPE_CHECKING:
    from reconciler.load import Loaded
    from reconciler.planning.fleet import ZoneFleet
    from xds.snapshot import Snapshot

ADMIN = ("kuma:", "probe:")
EXAMPLES = 25  # each is two zones made twice
SERVICES = ("web", "backend", "db")
VERSIONS = ("v1", "v2")
ADDRESS = re.compile(r"\b(10\.0\.\d+\.\d+|198\.1[89]\.\d+\.\d+)\b")


# --- repositories ---


def mesh(mode: str, services: str, initial: bool) -> Document:
    found: Document = {"type": "Mesh", "name": "default", "meshServices": {"mode": services}}
    if mode:
        backend = {"name": "ca-1", "type": "builtin", "mode": mode}
        found["mtls"] = {"enabledBackend": "ca-1", "backends": [backend]}
    return found if initial else found | {"skipCreatingInitialPolicies": ["*"]}


MESHES = st.builds(
    mesh,
    st.sampled_from(("", "STRICT", "STRICT", "PERMISSIVE")),
    st.sampled_from(("Disabled", "Disabled", "Exclusive")),
    st.booleans(),
)
TOPS = st.sampled_from(
    (
        None,
        {"kind": "Mesh"},
        {"kind": "MeshSubset", "tags": {"version": "v1"}},
        {"kind": "Dataplane", "labels": {"team": "a"}},
        {"kind": "Dataplane", "labels": {"team": "a"}, "sectionName": "8080"},
        {"kind": "MeshService", "name": "backend"},
        {"kind": "Mesh", "proxyTypes": ["Gateway"]},
    )
)
TARGETS = st.sampled_from(
    (
        {"kind": "Mesh"},
        {"kind": "MeshService", "name": "backend"},
        {"kind": "MeshService", "name": "db"},
    )
)
CALLERS = st.sampled_from(
    (
        {"kind": "Mesh"},
        {"kind": "MeshSubset", "tags": {"kuma.io/service": "web"}},
        {"kind": "MeshSubset", "tags": {"version": "v2"}},
        {"kind": "MeshSubset", "tags": {"kuma.io/zone": "west"}},
    )
)
LABELS = st.sampled_from(({}, {}, {}, {"kuma.io/display-name": "shown"}))


def policy(kind: str, name: str, top: Document | None, **lists: Any) -> Document:
    spec = {key: value for key, value in lists.items() if value}
    if top is not None:
        spec["targetRef"] = top
    return {"type": kind, "mesh": "default", "name": name, "spec": spec}


def timeout(name: str, top: Document | None, target: Document, seconds: int, way: str) -> Document:
    sectioned = top is not None and "sectionName" in top
    way = "rules" if sectioned else way
    entry: Document = {"default": {"idleTimeout": f"{seconds}s", "http": {"requestTimeout": "1s"}}}
    if way == "to":
        entry["targetRef"] = target
    if way == "from":
        entry["targetRef"] = {"kind": "Mesh"}
    return policy("MeshTimeout", name, top, **{way: [entry]})


def permission(name: str, top: Document | None, caller: Document, action: str) -> Document:
    entry = {"targetRef": caller, "default": {"action": action}}
    return policy("MeshTrafficPermission", name, top, **{"from": [entry]})


def by_id(name: str, top: Document | None, service: str, word: str) -> Document:
    match = {"spiffeID": {"type": "Exact", "value": f"spiffe://default/{service}"}}
    return policy("MeshTrafficPermission", name, top, rules=[{"default": {word: [match]}}])


def route(name: str, top: Document | None, target: str, to: str, version: str) -> Document:
    backend: Document = {"kind": "MeshService", "name": to, "weight": 3}
    if version:
        backend = {
            "kind": "MeshServiceSubset",
            "name": to,
            "tags": {"version": version},
            "weight": 1,
        }
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/a"}}],
        "default": {"backendRefs": [backend]},
    }
    to_list = [{"targetRef": {"kind": "MeshService", "name": target}, "rules": [rule]}]
    top = top if top is not None and "sectionName" not in top else None
    return policy("MeshHTTPRoute", name, top, to=to_list)


def strategy(name: str, top: Document | None, target: Document, said: Document) -> Document:
    top = top if top is not None and "sectionName" not in top else None
    entry = {"targetRef": target, "default": {"localityAwareness": said}}
    return policy("MeshLoadBalancingStrategy", name, top, to=[entry])


PREFERENCES: st.SearchStrategy[Document] = st.sampled_from(
    (
        {"disabled": True},
        {"localZone": {"affinityTags": [{"key": "version"}, {"key": "team"}]}},
        {"crossZone": {"failover": [{"to": {"type": "Only", "zones": ["west"]}}]}},
        {"crossZone": {"failoverThreshold": {"percentage": 70}}},
    )
)
NAMES = st.sampled_from(("a", "b", "c", "mesh-timeout-all-default"))
SPANS = st.integers(1, 3)
POLICIES = st.one_of(
    st.builds(timeout, NAMES, TOPS, TARGETS, SPANS, st.sampled_from(("to", "from", "rules"))),
    st.builds(permission, NAMES, TOPS, CALLERS, st.sampled_from(("Allow", "Deny"))),
    st.builds(strategy, NAMES, TOPS, TARGETS, PREFERENCES),
    st.builds(by_id, NAMES, TOPS, st.sampled_from(SERVICES), st.sampled_from(("allow", "deny"))),
    st.builds(
        route,
        NAMES,
        TOPS,
        st.sampled_from(SERVICES),
        st.sampled_from(SERVICES),
        st.sampled_from(("", *VERSIONS)),
    ),
)
REPOSITORY = st.tuples(MESHES, st.lists(POLICIES, max_size=5))


def documents(repository: tuple[Document, list[Document]]) -> list[Document]:
    """The last of those that have one name."""
    known = {(each["type"], each["name"]): each for each in repository[1]}
    return [repository[0], *known.values()]


# --- fleets ---


def proxies(zone: str, drawn: list[tuple[str, str, str, tuple[str, ...]]]) -> list[Document]:
    net = "10.0.1" if zone == "east" else "10.0.2"
    found = [ingress(zone, f"{net}.1")]
    for number, (service, version, team, calls) in enumerate(drawn):
        found.append(
            dataplane(
                f"{service}-{number}",
                f"{net}.{number + 2}",
                service,
                calls,
                tags={"version": version},
                labels={"team": team} if team else {},
            )
        )
    return found


PROXY = st.tuples(
    st.sampled_from(SERVICES),
    st.sampled_from(VERSIONS),
    st.sampled_from(("", "a")),
    st.sampled_from(((), ("backend",), ("backend", "db"), ("db", "web"))),
)
FLEET = st.lists(PROXY, min_size=1, max_size=5)


# --- what really happens ---


def zones(
    commit: Loaded, east: list[Document], west: list[Document], inventory: Inventory
) -> tuple[RealZone, RealZone]:
    """Each with the ingress of the other, as the global relays it."""
    first = [
        real_zone(name, commit, those, (), inventory)
        for name, those in (("east", east), ("west", west))
    ]
    told = [zone.status_files(inventory) for zone in first]
    return (
        real_zone("east", commit, east, relayed("west", told[1]), inventory),
        real_zone("west", commit, west, relayed("east", told[0]), inventory),
    )


def resources(snapshot: Snapshot) -> dict[tuple[str, str], bytes]:
    """Without what is for the proxy's administrators, which no policy changes."""
    return {
        (type_url, name): resource.entry
        for type_url in TYPES
        for name, resource in snapshot.of(type_url).items()
        if not name.startswith(ADMIN)
    }


def nameless(snapshot: Snapshot) -> list[str]:
    """As JSON, with every address of a proxy as the same text: endpoints become a multiset."""
    found = []
    for type_url in TYPES:
        for name, resource in snapshot.of(type_url).items():
            if not name.startswith(ADMIN):
                text = ADDRESS.sub("<address>", json.dumps(readable(resource), sort_keys=True))
                found.append(f"{type_url} {canonical(json.loads(text))}")
    return sorted(found)


def canonical(value: Any) -> str:
    """Lists of endpoints in any order: addresses decide it."""
    if isinstance(value, dict):
        parts = [f"{json.dumps(k)}:{canonical(v)}" for k, v in sorted(value.items())]
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        found = [canonical(each) for each in value]
        is_endpoints = any("socketAddress" in each for each in found)
        return "[" + ",".join(sorted(found) if is_endpoints else found) + "]"
    return json.dumps(value)


def predicted(
    base: Loaded, head: Loaded, told: dict[str, Any], zone: str
) -> tuple[ZoneFleet, dict[str, Snapshot]]:
    fleets = {name: zone_fleet(name, files) for name, files in told.items()}
    before = policies_of(with_defaults(base.resources))
    after = policies_of(with_defaults(head.resources), before)
    fleet = fleets[zone]
    ingresses = ingresses_of(fleets.values(), before, after)
    worlds = zone_worlds(fleet, ingresses, before, diff(before.state, after.state))
    views = views_of(fleet, worlds)
    builders = Builders()
    found = {key.name: snapshot_of(view, builders) for key, view in views.after.items()}
    return fleet, found


@settings(max_examples=EXAMPLES, deadline=None)
@given(REPOSITORY, REPOSITORY, FLEET, FLEET)
def test_proxies_known_by_name_get_what_was_predicted_to_the_byte(
    base: Any, head: Any, east: Any, west: Any
) -> None:
    before, after = loaded(documents(base)), loaded(documents(head))
    fleet = proxies("east", east), proxies("west", west)
    real = zones(before, *fleet, Inventory.FULL)
    told = {n: r.status_files(Inventory.FULL) for n, r in zip(("east", "west"), real, strict=True)}
    now = zones(after, *fleet, Inventory.FULL)
    _, found = predicted(before, after, told, "east")
    for document in fleet[0][1:]:
        name = document["name"]
        assert resources(found[name]) == resources(now[0].snapshot(f"default.{name}"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(REPOSITORY, REPOSITORY, FLEET, FLEET)
def test_proxies_known_by_class_get_what_was_predicted_but_for_addresses(
    base: Any, head: Any, east: Any, west: Any
) -> None:
    before, after = loaded(documents(base)), loaded(documents(head))
    fleet = proxies("east", east), proxies("west", west)
    real = zones(before, *fleet, Inventory.CLASSES)
    told = {
        n: r.status_files(Inventory.CLASSES) for n, r in zip(("east", "west"), real, strict=True)
    }
    assert not any(b"-0" in body or b"10.0.1.2" in body for body in told["east"].values())
    now = zones(after, *fleet, Inventory.CLASSES)
    zone_fleet_, found = predicted(before, after, told, "east")
    wanted: list[list[str]] = []
    for group in zone_fleet_.groups:
        (first,) = representatives(group)
        wanted += [nameless(found[first.key.name])] * len(group.members)
    happened = [nameless(now[0].snapshot(f"default.{d['name']}")) for d in fleet[0][1:]]
    assert sorted(wanted) == sorted(happened)


@settings(max_examples=EXAMPLES, deadline=None)
@given(REPOSITORY, REPOSITORY, FLEET, FLEET)
def test_exactly_those_are_touched_that_get_something_else(
    base: Any, head: Any, east: Any, west: Any
) -> None:
    before, after = loaded(documents(base)), loaded(documents(head))
    fleet = proxies("east", east), proxies("west", west)
    was = zones(before, *fleet, Inventory.FULL)
    now = zones(after, *fleet, Inventory.FULL)
    names = ("east", "west")
    told = {n: r.status_files(Inventory.FULL) for n, r in zip(names, was, strict=True)}
    found = plan(before, after, [zone_fleet(name, files) for name, files in told.items()])
    for index, zone in enumerate(found.zones):
        touched = sum(
            resources(was[index].snapshot(node)) != resources(now[index].snapshot(node))
            for node in was[index].nodes
            if not node.startswith(".")
        )
        assert zone.touched == touched


@settings(max_examples=EXAMPLES, deadline=None)
@given(REPOSITORY, FLEET)
def test_a_change_of_nothing_is_none(base: Any, east: Any) -> None:
    commit, again = loaded(documents(base)), loaded(reversed(documents(base)))
    real = real_zone("east", commit, proxies("east", east))
    found = plan(commit, again, [zone_fleet("east", real.status_files(Inventory.CLASSES))])
    assert found.is_empty
    assert found.risk.level == "low"


def test_views_that_are_equal_are_no_change() -> None:
    assert xds_changes(None, None, Builders()) == ()


@pytest.mark.parametrize("text", ["10.0.1.2", "198.18.0.0"])
def test_addresses_are_recognised(text: str) -> None:
    assert ADDRESS.fullmatch(text)
