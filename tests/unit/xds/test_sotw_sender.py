"""State of the world, case by case; the laws of both variants are tested by the models in
tests/protocol.
"""

from __future__ import annotations

from dataclasses import replace

from xds.ads_stream import AdsStream
from xds.delta_sender import ADS_NAMED_DIALECT, Acked, DeltaSender, Nacked, Stale, Subscribed
from xds.discovery import DeltaRequest, DeltaResponse
from xds.resource import CLUSTER, ENDPOINT, LISTENER, XdsResource
from xds.snapshot import NO_RESOURCES, Resources, Snapshot
from xds.sotw_sender import received


def resources(**versions: str) -> Resources:
    return {name: XdsResource(name, v, f"{name}@{v}".encode()) for name, v in versions.items()}


def snapshot(
    clusters: Resources, endpoints: Resources = NO_RESOURCES, listeners: Resources = NO_RESOURCES
) -> Snapshot:
    return Snapshot(clusters, endpoints, NO_RESOURCES, listeners)


class Stream:
    """An open stream and what was sent on it."""

    def __init__(self) -> None:
        self.ads = AdsStream.open()
        self.sent: list[DeltaResponse] = []

    def asks(self, type_url: str, *names: str, nonce: str = "", **more: str) -> object:
        request = DeltaRequest(type_url, wanted=names, nonce=nonce, **more)  # type: ignore[arg-type]
        self.ads, answer = self.ads.on_request(request)
        return answer

    def push(self, wanted: Snapshot, *, retire: bool = True) -> list[dict[str, str]]:
        self.ads, responses = self.ads.push(wanted, retire=retire)
        self.sent += responses
        return [{r.name: r.version for r in response.resources} for response in responses]


def test_every_response_states_all_clusters_and_one_version_for_the_type() -> None:
    stream = Stream()
    assert stream.asks(CLUSTER) == Subscribed()
    assert stream.push(snapshot(resources(a="1"))) == [{"a": "1"}]
    assert stream.asks(CLUSTER, nonce="1", version=stream.sent[0].version) == Acked()
    assert stream.push(snapshot(resources(a="1", b="1"))) == [{"a": "1", "b": "1"}]
    assert stream.sent[0].version != stream.sent[1].version


def test_equal_content_has_an_equal_version_on_every_stream() -> None:
    versions = set()
    for names in (resources(a="1", b="1"), resources(b="1", a="1")):
        stream = Stream()
        stream.asks(CLUSTER, version="of an earlier stream")
        stream.push(snapshot(names))
        versions.add(stream.sent[0].version)
    assert len(versions) == 1


def test_endpoints_that_did_not_change_are_not_sent_again() -> None:
    stream = Stream()
    stream.asks(ENDPOINT, "a", "b")
    assert stream.push(snapshot({}, resources(a="1", b="1"))) == [{"a": "1", "b": "1"}]
    stream.asks(ENDPOINT, "a", "b", nonce="1")
    assert stream.push(snapshot({}, resources(a="1", b="2"))) == [{"b": "2"}]


def test_endpoints_that_are_gone_are_not_told_and_those_that_come_back_are() -> None:
    asked = DeltaRequest(ENDPOINT, wanted=("a",))
    sender, request = received(DeltaSender(type_url=ENDPOINT, dialect=ADS_NAMED_DIALECT), asked)
    sender, _ = sender.on_request(request)
    there, gone = resources(a="1"), resources()
    sender, _ = sender.offer(there, "1")
    sender, request = received(sender, replace(asked, nonce="1"))
    sender, _ = sender.on_request(request)
    sender, response = sender.offer(gone, "2")
    assert response is None
    assert sender.holds(gone)
    assert (sender.responses, sender.acks) == (1, 1)  # Nothing was sent, nothing counts.
    sender, response = sender.offer(there, "2")
    assert response is not None
    assert [r.name for r in response.resources] == ["a"]


def test_a_subscription_that_grows_before_the_first_answer_is_served_after_it() -> None:
    """The grown request still has an empty nonce."""
    stream = Stream()
    wanted = snapshot({}, resources(a="1", b="1"))
    stream.asks(ENDPOINT, "a")
    assert stream.push(wanted) == [{"a": "1"}]
    assert stream.asks(ENDPOINT, "a", "b") == Subscribed()
    assert stream.push(wanted) == []  # One response of a type is under way.
    assert stream.asks(ENDPOINT, "a", "b", nonce="1") == Acked()
    assert stream.push(wanted) == [{"b": "1"}]


def test_a_repeated_request_looks_like_an_ack_and_costs_nothing() -> None:
    stream = Stream()
    wanted = snapshot({}, resources(a="1"))
    stream.asks(ENDPOINT, "a")
    stream.push(wanted)
    stream.asks(ENDPOINT, "a", nonce="1")
    assert stream.asks(ENDPOINT, "a", nonce="1") == Stale()
    assert stream.push(wanted) == []


def test_a_changed_cluster_gets_its_endpoints_again_and_no_other_does() -> None:
    stream = Stream()
    endpoints = resources(a="1", b="1")
    stream.asks(CLUSTER)
    stream.push(snapshot(resources(a="1", b="1"), endpoints))
    stream.asks(CLUSTER, nonce="1")
    stream.asks(ENDPOINT, "a", "b")
    stream.push(snapshot(resources(a="1", b="1"), endpoints))
    stream.asks(ENDPOINT, "a", "b", nonce="2")
    sent = stream.push(snapshot(resources(a="2", b="1"), endpoints))
    assert sent == [{"a": "2", "b": "1"}, {"a": "1"}]


def test_a_rejected_cluster_that_is_kept_is_stated_as_it_was_accepted() -> None:
    """Left out it would be gone, and listeners that drain still use it."""
    stream = Stream()
    listeners = resources(web="1")
    stream.asks(CLUSTER)
    stream.push(snapshot(resources(a="1"), listeners=listeners))
    stream.asks(CLUSTER, nonce="1")
    stream.asks(LISTENER)
    stream.push(snapshot(resources(a="1"), listeners=listeners))
    stream.asks(LISTENER, nonce="2")
    stream.push(snapshot(resources(a="2"), listeners=listeners))
    assert stream.asks(CLUSTER, nonce="3", error="a: bad") == Nacked("a: bad")
    sent = stream.push(snapshot(resources(b="1"), listeners=listeners), retire=False)
    assert sent == [{"a": "1", "b": "1"}]


def test_a_part_of_what_was_rejected_that_is_stated_as_before_gets_its_endpoints_again() -> None:
    """Envoy took it, so that its older version is a change, and warms with every change."""
    stream = Stream()
    stream.asks(CLUSTER)
    stream.push(snapshot(resources(a="1", b="1"), endpoints := resources(a="1", b="1")))
    stream.asks(CLUSTER, nonce="1")
    stream.asks(ENDPOINT, "a", "b")
    stream.push(snapshot(resources(a="1", b="1"), endpoints))
    stream.asks(ENDPOINT, "a", "b", nonce="2")
    stream.push(snapshot(resources(a="2", b="2"), endpoints))
    stream.asks(CLUSTER, nonce="3", error="a: bad")
    stream.asks(ENDPOINT, "a", "b", nonce="4")
    assert stream.push(snapshot({}, {}), retire=False) == [
        {"a": "1", "b": "1"},
        {"a": "1", "b": "1"},
    ]


def test_a_part_of_what_was_rejected_is_kept_as_it_was_taken() -> None:
    """Later it is rejected itself, and then is gone: a listener that drains still uses it."""
    stream = Stream()
    stream.asks(CLUSTER)
    stream.push(snapshot(resources(bad="1", part="1")))
    stream.asks(CLUSTER, nonce="1", error="bad: no")
    stream.push(snapshot(resources(other="1", part="2")))
    stream.asks(CLUSTER, nonce="2", error="part: no")
    assert stream.push(snapshot(resources(web="1")), retire=False) == [
        {"other": "1", "part": "1", "web": "1"}
    ]


def test_what_is_stated_and_accepted_is_no_part_any_more() -> None:
    stream = Stream()
    stream.asks(CLUSTER)
    stream.push(snapshot(resources(bad="1", part="1", other="1")))
    stream.asks(CLUSTER, nonce="1", error="bad: no")
    stream.push(snapshot(resources(web="1")), retire=False)
    stream.asks(CLUSTER, nonce="2")
    clusters = stream.ads.clusters
    assert set(clusters.acked) == {"other", "part", "web"}
    assert clusters.acked is clusters.sent
    stream.push(snapshot(resources(web="1")))
    stream.asks(CLUSTER, nonce="3")
    stream.push(snapshot(resources(web="1", part="2")))
    stream.asks(CLUSTER, nonce="4", error="part: no")
    assert stream.push(snapshot(resources(web="2")), retire=False) == [{"web": "2"}]


def test_who_lost_a_stream_before_it_had_listeners_waits_for_no_cluster_that_is_gone() -> None:
    stream = Stream()
    stream.asks(CLUSTER, version="of the stream before")
    stream.push(snapshot(resources(a="1"), resources(a="1")))
    wanted = snapshot(resources(b="1"), resources(b="1"), resources(web="1"))
    stream.asks(ENDPOINT, "a")
    assert stream.push(wanted) == [{}]
    stream.asks(CLUSTER, nonce="1")
    assert stream.push(wanted) == [{"a": "1", "b": "1"}]
    stream.asks(CLUSTER, nonce="3")
    assert stream.push(wanted) == [{"b": "1"}]


def test_a_new_proxy_waits_for_no_cluster_that_is_gone() -> None:
    """It asks for listeners once its clusters are warm; that endpoints are none cannot be said."""
    stream = Stream()
    stream.asks(CLUSTER)
    stream.push(snapshot(resources(a="1"), resources(a="1")))
    stream.asks(CLUSTER, nonce="1")
    assert stream.push(snapshot(resources(b="1")))[0] == {"a": "1", "b": "1"}
    stream.asks(CLUSTER, nonce="2")
    assert stream.push(snapshot(resources(b="1"))) == [{"b": "1"}]


def test_who_comes_back_is_sent_all_of_it_but_no_listeners_that_would_empty_it() -> None:
    """Its clusters are refused: "no change" cannot be said, and no listeners would be the end."""
    stream = Stream()
    wanted = snapshot(resources(a="2"), listeners=resources(web="2"))
    stream.asks(CLUSTER, version="earlier")
    assert stream.push(wanted) == [{"a": "2"}]
    stream.asks(LISTENER, version="earlier")
    stream.asks(CLUSTER, nonce="1", error="a: bad")
    assert stream.push(wanted) == []
    cure = snapshot(resources(a="3"), listeners=resources(web="2"))
    assert stream.push(cure) == [{"a": "3"}]
    stream.asks(CLUSTER, nonce="2")
    assert stream.push(cure) == [{"web": "2"}]
