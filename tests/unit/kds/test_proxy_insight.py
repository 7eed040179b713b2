"""What the global is told of a proxy's streams, from the zone's step to the insight's message."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict

from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_entry
from reconciler.kds.messages import MESSAGES
from reconciler.kds.proxy_insight import (
    METADATA_MAX,
    ProxyInsight,
    Said,
    Subscription,
    insight_bytes,
    said_by,
)
from reconciler.kds.stats import Counts
from reconciler.model.resource import Labels, ResourceKey
from reconciler.steps import zone_state as z
from reconciler.steps.proxy_state import Identity
from reconciler.steps.zone_insights import BATCH, PAUSE_S, counts_of
from tests.support.zone import START, Zone, dataplane, issued, zone

if TYPE_CHECKING:
    import pytest

REPORT_S = 0.11
WEB = ResourceKey("Dataplane", "default", "web")
VERSION = {
    "kumaDp": {"version": "2.14.3", "gitTag": "v2.14.3", "more": 1},
    "envoy": {"version": "1.38.2", "build": "a/b"},
    "dependencies": {"coredns": "1.12"},
    "unknown": {},
}
METADATA = {"version": VERSION, "features": ["feature-delta-grpc"], "ipv6Enabled": True}


def told(made: Zone) -> dict[str, Any]:
    """By the last report."""
    made.deliver(z.Tick(made.now + REPORT_S))
    kept = made.state.published.frames["DataplaneInsight", WEB]
    carried = decode_entry("DataplaneInsight", kept.frame.entry)
    assert carried.data == read(kept.insight, carried.name)
    return read(kept.insight)


def read(insight: ProxyInsight, name: str = "web") -> dict[str, Any]:
    message = MESSAGES["DataplaneInsight"].FromString(
        insight_bytes("DataplaneInsight", name, insight)
    )
    return MessageToDict(message)


def opened(metadata: dict[str, object]) -> ProxyInsight:
    return ProxyInsight((Subscription("east-1", START, said=said_by(metadata)),))


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
        "2027-01-15T08:00:02Z",
        "2027-01-15T08:00:03Z",
    )
    assert (second["connectTime"], second["disconnectTime"]) == (
        "2027-01-15T08:00:04Z",
        "2027-01-15T08:00:05Z",
    )
    assert second["controlPlaneInstanceId"] == "east-1"
    assert "generation" not in second
    assert START == 1_800_000_000.0


def test_versions_are_those_that_the_proxy_names() -> None:
    body = read(opened(METADATA))
    assert body["subscriptions"][0]["version"] == {
        "kumaDp": {"version": "2.14.3", "gitTag": "v2.14.3", "kumaCpCompatible": True},
        "envoy": {"version": "1.38.2", "build": "a/b"},
        "dependencies": {"coredns": "1.12"},
    }
    assert body["metadata"] == METADATA


def test_who_fits_with_whom_is_told_as_far_as_it_is_known() -> None:
    """A proxy knows it of its Envoy, we of the proxy."""
    known = {"kumaDp": {"version": "2.9.0"}, "envoy": {"version": "1", "kumaDpCompatible": True}}
    version = read(opened({"version": known}))["subscriptions"][0]["version"]
    assert "kumaCpCompatible" not in version["kumaDp"]  # protobuf's way to say no
    assert version["envoy"]["kumaDpCompatible"] is True
    other = {"envoy": {"version": "1", "kumaDpCompatible": "yes"}}
    version = read(opened({"version": other}))["subscriptions"][0]["version"]
    assert version == {"envoy": {"version": "1"}}


def test_all_four_types_have_counters_that_a_reader_may_look_into() -> None:
    counted = replace(opened({}).subscriptions[0], counts={"cds": Counts(1, 1, 0)})
    status = read(ProxyInsight((counted,)))["subscriptions"][0]["status"]
    assert {name: status[name] for name in ("cds", "eds", "lds", "rds")} == {
        "cds": {"responsesSent": "1", "responsesAcknowledged": "1"},
        "eds": {},
        "lds": {},
        "rds": {},
    }


def test_what_a_proxy_says_of_itself_in_another_form_harms_nothing() -> None:
    for version in (None, "2.14", {"kumaDp": "2.14", "envoy": {"version": 1}}):
        assert "version" not in read(opened({"version": version}))["subscriptions"][0]
    assert "metadata" not in read(opened({"x": "y" * METADATA_MAX}))


def test_metadata_is_told_of_the_newest_stream_alone() -> None:
    first = opened(METADATA)
    both = replace(first, subscriptions=first.opened(Subscription("east-1", START + 1.0)))
    body = read(both)
    assert "metadata" not in body
    older, newer = body["subscriptions"]
    assert older["version"]["envoy"] == {"version": "1.38.2", "build": "a/b"}
    assert "version" not in newer
    assert both.subscriptions[0].said.metadata == b""  # nor kept


def test_streams_encode_what_the_proxy_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often its counters go up."""
    said: list[object] = []

    def counted(metadata: dict[str, object]) -> Said:
        said.append(metadata)
        return said_by(metadata)

    monkeypatch.setattr("reconciler.steps.zone_proxies.said_by", counted)
    made = zone()
    made.connect(dataplane("web", "web"))
    for _ in range(3):
        made.now += 10.0
        made.deliver(z.Tick(made.now))
    assert len(said) == 1


def test_certificate_is_told_with_how_often_it_was_made() -> None:
    backends = [{"name": "ca-1", "type": "builtin"}, {"name": "ca-2", "type": "builtin"}]
    mtls = {"enabledBackend": "ca-1", "backends": backends}
    made = zone(mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {"mtls": mtls}))
    made.connect(dataplane("web", "web"))
    proxy = made.state.proxies["default.web"].with_identity("default", Identity(issuing=True))
    made.state = replace(made.state, proxies=made.state.proxies.insert("default.web", proxy))
    issue = z.IssueCertificate("default.web", "default", "ca-1", (), b"ca", b"key", 100, "identity")
    for at in (START, START + 80.0):
        made.deliver(replace(issued(issue, at), now=at))
    insight = made.state.proxies["default.web"].insight
    assert insight.subscriptions == proxy.insight.subscriptions
    body = read(insight)
    assert body["mTLS"] == {
        "certificateExpirationTime": "2027-01-15T08:03:00Z",
        "lastCertificateRegeneration": "2027-01-15T08:01:20Z",
        "certificateRegenerations": 2,
        "issuedBackend": "ca-1",
        "supportedBackends": ["ca-1", "ca-2"],
    }


def test_counters_go_up_every_ten_seconds_while_they_change() -> None:
    made = zone()
    made.connect(dataplane("web", "web"))
    assert "status" not in told(made)["subscriptions"][0]
    made.now += 10.0
    made.deliver(z.Tick(made.now))
    status = told(made)["subscriptions"][0]["status"]
    proxy = made.state.proxies["default.web"]
    counts = counts_of(proxy.ads)
    assert status["lds"]["responsesSent"] == str(counts["lds"].sent) == "1"
    assert status["lds"]["responsesAcknowledged"] == str(counts["lds"].acknowledged) == "1"
    assert status["total"]["responsesSent"] == str(sum(c.sent for c in counts.values()))
    assert "responsesRejected" not in status["total"]
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


def fleet(count: int, **changes: Any) -> Zone:
    """Proxies whose counters are due now."""
    made = zone(**changes)
    for number in range(count):
        made.connect(dataplane(f"web-{number:03}", "web", address=f"10.0.1.{number}"))
    made.now += made.state.settings.insight_interval_s
    return made


def untold(made: Zone) -> int:
    return sum(1 for proxy in made.state.proxies.values() if proxy.has_counted)


def test_many_counters_go_up_a_few_proxies_a_turn_with_pauses_between() -> None:
    made = fleet(BATCH + 1)
    made.tick(0)
    assert untold(made) == 1
    assert z.WakeAt(made.now + PAUSE_S) in made.effects
    made.tick(PAUSE_S / 2)  # For another reason.
    assert untold(made) == 1
    made.tick(PAUSE_S / 2)
    assert untold(made) == 0
    assert made.state.insights_due is None


def test_counters_of_any_number_of_proxies_are_told_within_an_interval() -> None:
    made = fleet(12 * BATCH, insight_interval_s=10 * PAUSE_S)
    for _ in range(10):
        assert untold(made) > 0
        made.tick(PAUSE_S)
    assert untold(made) == 0


def test_counters_wait_for_builds_but_not_for_ever() -> None:
    made, began = fleet(2 * BATCH), START + 10.0
    waiting = made.state.dirty.with_queued(["default.web-000"])
    made.state = replace(made.state, dirty=waiting)
    while made.now < began + 9.9:
        made.tick(PAUSE_S)
        assert untold(made) == 2 * BATCH
        assert [e for e in made.effects if isinstance(e, z.WakeAt)]
    for _ in range(4):
        made.tick(PAUSE_S)
    assert made.state.dirty.queue
    assert untold(made) == 0


def test_counters_that_change_again_are_told_after_those_of_all_others() -> None:
    made = fleet(3 * BATCH)
    for turn in range(1, 4):
        made.tick(PAUSE_S)
        first = made.state.proxies["default.web-000"]
        changed = made.state.proxies.insert(first.node_id, replace(first, counted=-1))
        made.state = replace(made.state, proxies=changed)
        assert untold(made) == (3 - turn) * BATCH + 1
    assert made.state.insights_due == made.now + 10.0
    made.tick(10.0)
    assert untold(made) == 0
