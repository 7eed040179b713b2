"""Shadow policies change no proxy, however they come and go; in force, they are as any policy."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from reconciler import shadow
from reconciler.context import mesh_context
from reconciler.model.resource import Labels, MeshResource
from reconciler.state import MeshState, ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, ingress_view, sidecar_view
from tests.property.test_context_laws import NODES, SERVICES, a_proxy, some_policy
from tests.support.looked import traits
from tests.support.mesh import a_mesh, a_policy, an_ingress
from xds.copying import replace

if TYPE_CHECKING:
    from xds.view import ProxyView

LABEL = {"kuma.io/effect": "shadow"}
PLAIN = Labels()


def policies(draw: random.Random, prefix: str, labels: Labels) -> list[MeshResource]:
    """Of every kind, some with the backends in subsets that an ingress would open a way to."""
    made = [some_policy(draw) for _ in range(draw.randint(1, 8))]
    by_key = {
        replace(p.key, name=f"{prefix}{p.key.name}"): p
        for p in (*made, *(_subset_route(draw) for _ in range(2)))
    }
    return [replace(p, key=key, labels=labels) for key, p in by_key.items()]


def _subset_route(draw: random.Random) -> MeshResource:
    tags = {"version": draw.choice(("v1", "v9"))}
    backend = {"kind": "MeshServiceSubset", "name": "web", "tags": tags}
    rule = {"matches": [], "default": {"backendRefs": [backend]}}
    to = {"targetRef": {"kind": "MeshService", "name": draw.choice(SERVICES)}, "rules": [rule]}
    return a_policy("MeshHTTPRoute", f"sub{draw.randint(0, 1)}", {"to": [to]})


def views(state: MeshState, before: MeshState | None = None) -> list[ProxyView]:
    """Of all proxies; by a context that followed from another state, where one is given."""
    known = None
    if before is not None:
        known = mesh_context(before, "default", "east", frozenset(), {})
    context = mesh_context(state, "default", "east", frozenset(), {}, known)
    found = [
        sidecar_view(context, proxy, traits(proxy.key.name)).view for proxy in state.of("Dataplane")
    ]
    (ingress,) = state.of("ZoneIngress")
    own = ingress_view(state, ingress, "east", frozenset(), ProxyTraits(node_id="ingress"))
    return [*found, own.view]


@given(st.integers(0, 2**32))
def test_a_shadow_policy_changes_no_proxy(seed: int) -> None:
    draw = random.Random(seed)
    proxies = [a_proxy(draw, name) for name in NODES]
    base = from_resources([a_mesh(), an_ingress("east"), *proxies, *policies(draw, "", PLAIN)])
    added = policies(draw, "shadow-", Labels.of(LABEL))
    both = apply(base, ResourceDiff(tuple(added)))
    assert both.of("MeshHTTPRoute") != base.of("MeshHTTPRoute")
    assert views(both) == views(base)
    assert views(both, base) == views(base)
    assert views(base, both) == views(base)


@given(st.integers(0, 2**32))
def test_in_force_it_is_as_if_it_had_never_had_the_label(seed: int) -> None:
    draw = random.Random(seed)
    world = [a_mesh(), an_ingress("east"), *(a_proxy(draw, name) for name in NODES)]
    made = policies(draw, "", PLAIN)
    labelled = [replace(p, labels=Labels.of(LABEL)) for p in made]
    assert views(from_resources(shadow.in_force((*world, *labelled)))) == views(
        from_resources((*world, *made))
    )
