"""HDS streams in the zone's step: who may report, and what a report moves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler import proxy_health
from reconciler.ca.tokens import Claims, Refused
from reconciler.model.spec import DataplaneSpec
from reconciler.proxy_health import ADMIN
from reconciler.steps import zone_state as z
from tests.support.zone import INGRESS, Zone, dataplane, zone
from xds.discovery import DeltaRequest, Node
from xds.health import HealthReport, Introduction
from xds.resource import CLUSTER

if TYPE_CHECKING:
    import pytest

WELL = {ADMIN: True, "localhost:8080": True}


def probed(name: str = "web") -> dict[str, Any]:
    document = dataplane(name, "web")
    document["networking"]["admin"] = {"port": 9901}
    document["networking"]["inbound"][0]["serviceProbe"] = {"tcp": {}}
    return document


def opened(made: Zone, stream: str, token: str = "token") -> None:
    made.deliver(z.HealthOpened(stream, token, made.now))


def introduced(made: Zone, stream: str, node: str = "default.web") -> list[z.Effect]:
    return made.deliver(z.HealthSaid(stream, Introduction(node), made.now))


def reported(made: Zone, stream: str, **healthy: bool) -> list[z.Effect]:
    report = HealthReport({**WELL, **healthy})
    return made.deliver(z.HealthSaid(stream, report, made.now))


def asked(effects: list[z.Effect]) -> list[str]:
    (found,) = [e for e in effects if isinstance(e, z.AskHealth)]
    return [check.cluster for check in found.specifier.checks]


def closings(effects: list[z.Effect]) -> list[tuple[str, str]]:
    return [(e.stream, e.message) for e in effects if isinstance(e, z.CloseHealth)]


def serving() -> Zone:
    """An ingress, and a probed web whose application was found to be well."""
    made = zone()
    made.connect(INGRESS)
    made.connect(probed())
    opened(made, "h")
    introduced(made, "h")
    reported(made, "h")
    return made


def test_report_moves_an_endpoint_in_and_out_at_once() -> None:
    made = zone()
    made.connect(INGRESS)
    made.connect(probed())
    assert made.services == {}
    opened(made, "h")
    assert asked(introduced(made, "h")) == [ADMIN, "localhost:8080"]
    effects = reported(made, "h")
    assert made.services == {"web": 1}
    # On disk only after everybody was told: an endpoint waits for no disk.
    assert isinstance(effects[-1], z.Persist)
    reported(made, "h", **{"localhost:8080": False})
    assert made.services == {}
    reported(made, "h")
    assert made.services == {"web": 1}


def test_envoy_that_is_not_ready_takes_all_its_inbounds_out() -> None:
    made = serving()
    reported(made, "h", **{ADMIN: False})
    assert made.services == {}


def test_report_without_news_does_nothing() -> None:
    made = serving()
    state = made.state
    assert reported(made, "h") == []
    assert made.state is state


def test_health_stream_may_come_before_the_proxy_registers() -> None:
    made = zone()
    made.connect(INGRESS)
    opened(made, "h")
    assert introduced(made, "h") == []
    made.tick(29.0)
    made.connect(probed())
    assert made.state.health["h"].asked is not None
    reported(made, "h")
    assert made.services == {"web": 1}


def test_health_stream_of_nobody_ends_after_a_while() -> None:
    made = zone()
    opened(made, "h")
    made.now += 1.0
    opened(made, "silent")
    introduced(made, "h")
    made.tick(29.0)
    assert [s for s, _ in closings(made.effects)] == ["h"]
    assert "dataplane not found" in closings(made.effects)[0][1]
    made.tick(1.0)
    assert [s for s, _ in closings(made.effects)] == ["silent"]
    assert len(made.state.health) == len(made.state.health_waits) == 0


def test_report_takes_the_token_that_the_proxy_takes() -> None:
    def verify(_policy: object, _resource: object, token: str, _now: float) -> Claims | Refused:
        return Claims() if token == "token" else Refused("the token has expired")

    made = zone(verify=verify)
    made.connect(probed())
    opened(made, "h", "another")
    ((stream, message),) = closings(introduced(made, "h"))
    assert (stream, message) == ("h", "authentication failed: the token has expired")
    assert any(isinstance(e, z.Note) and e.event == "proxy.refused" for e in made.effects)


def test_health_stream_of_another_keeps_nobody_out() -> None:
    """Who waits has shown nothing yet; who was let in stays until the proxy itself comes again."""
    refuses = {"token": Claims(), "bad": Refused("no")}
    made = zone(verify=lambda _p, _r, token, _n: refuses[token])
    opened(made, "bad", "bad")
    introduced(made, "bad")
    opened(made, "good")
    assert [s for s, _ in closings(introduced(made, "good"))] == ["bad"]
    made.connect(probed())
    assert made.state.health_of["default.web"] == "good"
    opened(made, "bad", "bad")
    assert [s for s, _ in closings(introduced(made, "bad"))] == ["bad"]
    assert made.state.health_of["default.web"] == "good"
    opened(made, "again")
    assert [s for s, _ in closings(introduced(made, "again"))] == ["good"]
    assert made.state.health_of["default.web"] == "again"


def test_report_before_it_was_asked_for_is_the_peers_fault() -> None:
    made = zone()
    made.connect(probed())
    opened(made, "h")
    assert len(closings(reported(made, "h"))) == 1
    opened(made, "i")
    introduced(made, "i")
    assert len(closings(introduced(made, "i"))) == 1


def test_proxy_that_comes_with_another_resource_is_asked_anew() -> None:
    made = serving()
    made.lose("s2")
    document = probed()
    document["networking"]["inbound"][0]["servicePort"] = 9090
    made.connect(document)
    assert [c.cluster for c in made.state.health["h"].asked.checks] == [ADMIN, "localhost:9090"]  # type: ignore[union-attr]


def test_what_was_reported_outlives_our_own_restart() -> None:
    made = serving()
    kept = made.state
    again = Zone(z.ZoneState(settings=kept.settings))
    again.deliver(z.Restored(made.now, kept.policy.all(), (), kept.local.all(), "c1"))
    assert again.services == {"web": 1}
    again.connect(probed())
    again.connect(INGRESS)
    assert again.services == {"web": 1}


def test_proxy_that_was_gone_starts_not_ready() -> None:
    made = serving()
    made.lose("s2")
    made.connect(probed())
    assert made.services == {}


def test_proxy_that_comes_back_alone_is_asked_anew_on_the_health_stream_that_stood() -> None:
    """Its probed inbounds begin as not ready; an Envoy repeats its report, which is no news then,
    and nobody would ever hear it."""
    made = serving()
    made.lose("s2")
    node = Node("default.web", metadata={"dataplane.resource": json.dumps(probed())})
    made.deliver(z.ProxyOpened("again", "token"))
    effects = made.request("again", DeltaRequest(CLUSTER, node))
    assert [e.stream for e in effects if isinstance(e, z.AskHealth)] == ["h"]
    assert asked(effects) == [ADMIN, "localhost:8080"]


def test_health_stream_ends_with_its_proxy() -> None:
    """Who comes under the name afterwards has to show a token for HDS, too."""
    made = serving()
    made.lose("s2")
    made.tick(10.0)
    assert [stream for stream, _ in closings(made.effects)] == ["h"]
    assert len(made.state.health) == len(made.state.health_of) == 0


def test_end_of_the_health_stream_changes_no_endpoint() -> None:
    made = serving()
    made.deliver(z.HealthClosed("h"))
    assert made.services == {"web": 1}
    assert len(made.state.health) == len(made.state.health_of) == 0
    made.deliver(z.HealthClosed("h"))


def test_streams_are_limited() -> None:
    made = zone(proxies_max=1)
    opened(made, "a")
    opened(made, "b")
    opened(made, "c")
    ((stream, message),) = closings(made.effects)
    assert stream == "c"
    assert "--proxies-max" in message


def test_ready_inbound_of_a_proxy_is_in_the_global_s_inventory() -> None:
    made = serving()
    (found,) = made.state.local.of("Dataplane")
    assert isinstance(found.spec, DataplaneSpec)
    assert found.spec.inbounds[0].healthy


def test_with_many_probed_proxies_all_are_asked_to_report_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_health, "REPORTS_MAX", 4.0)  # two proxies, twice a second
    made = zone()
    intervals: list[tuple[str, float]] = []
    for number in range(1, 4):
        document = probed(f"web-{number}")
        document["networking"]["inbound"][0]["port"] += number
        made.connect(document)
        opened(made, f"h{number}")
        effects = introduced(made, f"h{number}", f"default.web-{number}")
        intervals += paces(effects)
    assert intervals == [
        ("h1", 0.5),
        ("h2", 0.5),
        ("h3", 0.5),
        ("h1", 1.0),
        ("h2", 1.0),
        ("h3", 1.0),
    ]
    assert made.state.health_pace.probed == 3
    made.deliver(z.HealthClosed("h1"))
    assert paces(made.deliver(z.HealthClosed("h2"))) == [("h3", 0.5)]
    made.connect(probed("web-3"))  # Again: it is counted once.
    assert made.state.health_pace.probed == 1


def paces(effects: list[z.Effect]) -> list[tuple[str, float]]:
    return [(e.stream, e.specifier.interval_s) for e in effects if isinstance(e, z.AskHealth)]
