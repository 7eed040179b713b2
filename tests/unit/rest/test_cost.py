"""What long answers cost: CPU time of the thread that computes them, never of the loop."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.kds.proxy_insight import Subscription, said_by
from reconciler.kds.stats import Counts
from reconciler.problems import Position
from reconciler.rest.times import at_global
from reconciler.steps import global_state as g
from tests.support.rest import ask, catalogue, insight_of, made
from tests.support.zone import START

if TYPE_CHECKING:
    from reconciler.rest.catalogue import Catalogue

SECONDS_MAX = 1.0
POLICIES, PROXIES = 10_000, 1_000
METADATA: dict[str, Any] = {
    "version": {"kumaDp": {"version": "2.14.3"}, "envoy": {"version": "1.38.2", "build": "b"}},
    "dataplane.resource": '{"type":"Dataplane","mesh":"default"}' * 12,
    "features": ["feature-tcp-accesslog-via-named-pipe", "feature-reuse-port"] * 2,
    **{f"setting.{number}": "/a/path/of/the/proxy" for number in range(12)},
}
COUNTS = {name: Counts(3, 3) for name in ("cds", "eds", "lds")}


def cost_of(shown: Catalogue, target: str, total: int) -> float:
    """The cheaper of two."""
    costs = []
    for _ in range(2):
        began = time.thread_time()
        status, found = ask(replace(shown), target)
        costs.append(time.thread_time() - began)
        assert (status, found["total"], len(found["items"])) == (200, total, total)
    return min(costs)


def large() -> Catalogue:
    spec = {"targetRef": {"kind": "Mesh"}, "to": [{"targetRef": {"kind": "Mesh"}}]}
    policies = [made("MeshTimeout", f"t{n:05}", spec, team="a") for n in range(POLICIES)]
    proxies = [
        made("Dataplane", f"p{n:04}", proxy(n), zone="east", display_name=f"p{n}")
        for n in range(PROXIES)
    ]
    said = said_by(METADATA)
    streams = [Subscription("cp", START - n, said=said, counts=COUNTS) for n in range(2)]
    insights = [insight_of(each, *streams, backend="ca-1") for each in proxies]
    state = g.GlobalState(g.GlobalSettings(instance="g", version="1"))
    return catalogue(
        made("Mesh", "default"),
        *policies,
        *proxies,
        *insights,
        items_max=20_000,
        places={each.key: Position(f"{each.key.name}.yaml", 1, 1) for each in policies},
        times_of=partial(at_global, state, lambda _path: (START, START)),
    )


def proxy(number: int) -> dict[str, Any]:
    tags = {"kuma.io/service": f"s{number % 50}", "kuma.io/protocol": "http"}
    outbounds = [{"port": 10001 + n, "tags": {"kuma.io/service": f"s{n}"}} for n in range(5)]
    inbounds = [{"port": 80, "servicePort": 8080, "tags": tags}]
    return {"networking": {"address": "10.0.0.1", "inbound": inbounds, "outbound": outbounds}}


def test_long_answers_cost_less_than_a_second() -> None:
    shown = large()
    for target, total in (
        ("/meshes/default/meshtimeouts", POLICIES),
        ("/meshes/default/dataplanes/_overview", PROXIES),
        ("/dataplanes", PROXIES),
        ("/dataplane-insights", PROXIES),
        ("/mesh-insights", 1),
    ):
        cost = cost_of(shown, target, total)
        assert cost <= SECONDS_MAX, f"{target} cost {cost:.2f} s"


def test_one_page_of_many_costs_one_page() -> None:
    shown = large()
    target = "/meshes/default/dataplanes/_overview?size=10&offset=500"
    ask(replace(shown), target)
    began = time.thread_time()
    status, found = ask(replace(shown), target)
    assert (status, found["total"], len(found["items"])) == (200, PROXIES, 10)
    assert time.thread_time() - began <= SECONDS_MAX / 10
