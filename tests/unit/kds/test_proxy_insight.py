"""What the global is told of a proxy's streams, from the zone's step to the insight's body."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from reconciler.decode import mesh_resource
from reconciler.kds.codec import canonical_data
from reconciler.kds.proxy_insight import METADATA_MAX, ProxyInsight, Subscription, insight_body
from reconciler.model.resource import Labels, ResourceKey
from reconciler.steps import zone_state as z
from reconciler.steps.zone_insights import BATCH
from tests.support.zone import START, Zone, dataplane, issued, zone

WEB = ResourceKey("Dataplane", "default", "web")
VERSION = {
    "kumaDp": {"version": "2.14.3", "gitTag": "v2.14.3", "more": 1},
    "envoy": {"version": "1.38.2", "build": "a/b"},
    "dependencies": {"coredns": "1.12"},
    "unknown": {},
}
METADATA = {"version": VERSION, "features": ["feature-delta-grpc"], "ipv6Enabled": True}


def told(made: Zone) -> dict[str, Any]:
    insight = made.state.published.insights[WEB]
    body = json.loads(insight_body("web", insight))
    canonical_data("DataplaneInsight", body)  # It fits the message.
    assert isinstance(body, dict)
    return body


def test_streams_are_told_at_once_and_at_most_two() -> None:
    made = zone()
    for _ in range(3):
        stream = made.connect(dataplane("web", "web"))
        (*_, newest) = told(made)["subscriptions"]
        assert "disconnectTime" not in newest
        made.now += 1.0
        made.lose(stream)
        made.now += 1.0
    first, second = told(made)["subscriptions"]
    assert (first["connectTime"], first["disconnectTime"]) == (
        "2027-01-15T08:00:02.000Z",
        "2027-01-15T08:00:03.000Z",
    )
    assert (second["connectTime"], second["disconnectTime"]) == (
        "2027-01-15T08:00:04.000Z",
        "2027-01-15T08:00:05.000Z",
    )
    assert second["controlPlaneInstanceId"] == "east-1"
    assert "generation" not in second
    assert START == 1_800_000_000.0


def test_versions_are_those_that_the_proxy_names() -> None:
    insight = ProxyInsight((Subscription("east-1", START, metadata=METADATA),))
    body = json.loads(insight_body("web", insight))
    assert body["subscriptions"][0]["version"] == {
        "kumaDp": {"version": "2.14.3", "gitTag": "v2.14.3"},
        "envoy": {"version": "1.38.2", "build": "a/b"},
        "dependencies": {"coredns": "1.12"},
    }
    assert body["metadata"] == METADATA
    canonical_data("DataplaneInsight", body)


def test_what_a_proxy_says_of_itself_in_another_form_harms_nothing() -> None:
    for version in (None, "2.14", {"kumaDp": "2.14", "envoy": {"version": 1}}):
        insight = ProxyInsight((Subscription("e", START, metadata={"version": version}),))
        body = json.loads(insight_body("web", insight))
        assert "version" not in body["subscriptions"][0]
        canonical_data("DataplaneInsight", body)
    huge = Subscription("e", START, metadata={"x": "y" * METADATA_MAX})
    assert "metadata" not in json.loads(insight_body("web", ProxyInsight((huge,))))


def test_certificate_is_told_with_how_often_it_was_made() -> None:
    backends = [{"name": "ca-1", "type": "builtin"}, {"name": "ca-2", "type": "builtin"}]
    mtls = {"enabledBackend": "ca-1", "backends": backends}
    made = zone(mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {"mtls": mtls}))
    made.connect(dataplane("web", "web"))
    proxy = made.state.proxies["default.web"]
    issue = z.IssueCertificate("default.web", "default", "ca-1", (), b"ca", b"key", 100, "identity")
    for at in (START, START + 80.0):
        made.deliver(replace(issued(issue, at), now=at))
    insight = made.state.proxies["default.web"].insight
    assert insight.subscriptions == proxy.insight.subscriptions
    body = json.loads(insight_body("web", insight))
    assert body["mTLS"] == {
        "certificateExpirationTime": "2027-01-15T08:03:00.000Z",
        "lastCertificateRegeneration": "2027-01-15T08:01:20.000Z",
        "certificateRegenerations": 2,
        "issuedBackend": "ca-1",
        "supportedBackends": ["ca-1", "ca-2"],
    }
    canonical_data("DataplaneInsight", body)


def test_counters_go_up_every_ten_seconds_while_they_change() -> None:
    made = zone()
    made.connect(dataplane("web", "web"))
    assert "status" not in told(made)["subscriptions"][0]
    made.now += 10.0
    made.deliver(z.Tick(made.now))
    status = told(made)["subscriptions"][0]["status"]
    proxy = made.state.proxies["default.web"]
    counts = proxy.counts
    assert status["lds"]["responsesSent"] == str(counts["lds"].sent) == "1"
    assert status["lds"]["responsesAcknowledged"] == str(counts["lds"].acknowledged) == "1"
    assert status["total"]["responsesSent"] == str(sum(c.sent for c in counts.values()))
    assert status["total"]["responsesRejected"] == "0"
    assert made.state.insights_due is None
    before = made.state.published
    made.now += 60.0
    made.deliver(z.Tick(made.now))
    assert made.state.published is before  # nothing changed, nothing is said


def test_an_end_tells_the_counters_at_once_and_the_next_stream_begins_with_none() -> None:
    made = zone()
    stream = made.connect(dataplane("web", "web"))
    made.lose(stream)
    assert told(made)["subscriptions"][0]["status"]["lds"]["responsesAcknowledged"] == "1"
    made.connect(dataplane("web", "web"))
    assert "status" not in told(made)["subscriptions"][1]


def test_many_counters_go_up_a_few_proxies_a_turn() -> None:
    made = zone()
    for number in range(BATCH + 1):
        made.connect(dataplane(f"web-{number}", "web", address=f"10.0.1.{number}"))
    made.now += 10.0

    def counted() -> int:
        found = made.state.proxies.values()
        return sum(1 for p in found if p.insight.subscriptions[-1].counts is p.counts)

    made.deliver(z.Tick(made.now))
    assert counted() == BATCH
    assert z.WakeAt(made.now) in made.effects
    made.deliver(z.Tick(made.now))
    assert counted() == BATCH + 1
    assert made.state.insights_due is None
