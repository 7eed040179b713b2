"""What is known of the proxies of each service is what counting all anew finds, in whatever order
they came, changed and went.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.steps.proxy_state import Certificate, Identity, Proxy
from reconciler.steps.service_members import Held, Members
from reconciler.view import ProxyTraits
from xds.resource import XdsResource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = ("a", "b", "c")
Seen = tuple[MeshResource, Proxy | None]


def dataplane(name: str, inbounds: Sequence[tuple[int, str, bool]], edge: str) -> MeshResource:
    networking: dict[str, object] = {
        "address": "10.0.0.1",
        "inbound": [
            {"port": port, "tags": {"kuma.io/service": service},
             "state": "Ready" if ready else "NotReady"}
            for port, service, ready in inbounds
        ],
    }  # fmt: skip
    if edge:
        networking["gateway"] = {"tags": {"kuma.io/service": edge}}
    body = {"networking": networking}
    return mesh_resource(ResourceKey("Dataplane", "m", name), Labels(), body)


def proxy(name: str, backend: str, online: bool, present: bool) -> Proxy:
    found = Proxy(f"m.{name}", ResourceKey("Dataplane", "m", name), ProxyTraits(node_id=name))
    if backend:
        identity = XdsResource("n", "v", b"")
        certificate = Certificate(identity, (), backend, "", 1, 0.0, 1.0)
        found = found.with_identity("m", Identity(certificate))
    return replace(found, stream="s" if online else None, listening=present)


INBOUND = st.tuples(
    st.sampled_from((80, 90)), st.sampled_from(("web", "api", "Not a label")), st.booleans()
)
SEEN = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.builds(
            dataplane,
            st.just(name),
            st.lists(INBOUND, max_size=3),
            st.sampled_from(("", "", "edge")),
        ),
        st.none()
        | st.builds(
            proxy, st.just(name), st.sampled_from(("", "ca")), st.booleans(), st.booleans()
        ),
    )
)
CHANGE = SEEN | st.sampled_from(NAMES)


def followed(members: Members, world: Mapping[str, Seen], names: Sequence[str]) -> Members:
    keys = [ResourceKey("Dataplane", "m", name) for name in names]

    def resource(key: ResourceKey) -> MeshResource | None:
        seen = world.get(key.name)
        return seen[0] if seen is not None else None

    found, _ = members.followed(
        keys, resource, lambda key: world[key.name][1] if key.name in world else None
    )
    return found


def plain(held: Held) -> object:
    maps = (held.members, held.ports, held.backends, held.identities)
    return [dict(each.items()) for each in maps], held.connected


@given(st.lists(CHANGE, max_size=12))
def test_members_are_those_of_counting_all_anew(changes: list[Seen | str]) -> None:
    world: dict[str, Seen] = {}
    members = Members()
    for change in changes:
        name = change if isinstance(change, str) else change[0].key.name
        if isinstance(change, str):
            world.pop(name, None)
        else:
            world[name] = change
        members = followed(members, world, (name,))
    anew = followed(Members(), world, sorted(world))
    assert {at: plain(held) for at, held in members.by_service.items()} == {
        at: plain(held) for at, held in anew.by_service.items()
    }
    assert dict(members.services.items()) == dict(anew.services.items())
    for held in members.by_service.values():
        assert len(held.members) == sum(total for total, _ in held.ports.values())
        assert held.healthy(held.chosen(())) <= len(held.members)
