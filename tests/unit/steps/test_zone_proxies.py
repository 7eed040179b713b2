"""Admission, and what losing a proxy means: losing an endpoint is not deleting a Dataplane."""

from __future__ import annotations

import pytest

from reconciler.ca.tokens import Refused
from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, ResourceKey
from reconciler.steps import zone_state as z
from tests.support.zone import INGRESS, START, Zone, dataplane, settings, zone
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER, LISTENER, SECRET


def backends(count: int) -> tuple[Zone, list[str]]:
    made = zone()
    made.connect(INGRESS)
    streams = [
        made.connect(dataplane(f"backend-{i}", "backend", address=f"10.0.1.{i + 1}"))
        for i in range(count)
    ]
    return made, streams


def test_broken_stream_takes_the_endpoint_out_at_once_and_the_dataplane_after_ten_seconds() -> None:
    made, streams = backends(2)
    assert made.services == {"backend": 2}
    made.lose(streams[0])
    assert made.services == {"backend": 1}
    assert len(made.state.local.of("Dataplane")) == 2
    made.tick(9.9)
    assert len(made.state.local.of("Dataplane")) == 2
    made.tick(0.2)
    assert [r.key.name for r in made.state.local.of("Dataplane")] == ["backend-1"]


def test_new_proxy_is_an_endpoint_once_it_listens() -> None:
    """What is sent there before would be refused. A part that it rejects changes nothing."""
    for error in (None, "an address in use"):
        made, _ = backends(1)
        stream = made.connect(dataplane("backend-9", "backend"), listeners=False)
        assert made.services == {"backend": 1}
        made.request(stream, DeltaRequest(LISTENER))
        (listeners,) = [r for r in made.sent[stream] if r.type_url == LISTENER]
        assert made.services == {"backend": 1}
        answer = DeltaRequest(LISTENER, nonce=listeners.nonce, error=error)
        made.request(stream, answer)
        assert made.services == {"backend": 2}


def test_new_proxy_with_mtls_listens_once_it_has_its_certificate() -> None:
    mtls = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}
    ca = [
        mesh_resource(
            ResourceKey("Secret", "default", f"default.{name}"), Labels(), {"data": "eA=="}
        )
        for name in ("ca-builtin-cert-ca", "ca-builtin-key-ca")
    ]
    made = zone(mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {"mtls": mtls}), *ca)
    made.connect(INGRESS)
    stream = made.connect(dataplane("backend-9", "backend"), listeners=False)
    made.request(stream, DeltaRequest(LISTENER))
    (listeners,) = [r for r in made.sent[stream] if r.type_url == LISTENER]
    asks = DeltaRequest(SECRET, subscribe=("identity_cert:secret:default",))
    made.request(stream, asks)
    made.request(stream, DeltaRequest(LISTENER, nonce=listeners.nonce))
    assert made.services == {}
    (secrets,) = [r for r in made.sent[stream] if r.type_url == SECRET]
    made.request(stream, DeltaRequest(SECRET, nonce=secrets.nonce))
    assert made.services == {"backend": 1}


def test_an_endpoint_that_is_lost_waits_for_no_disk() -> None:
    """A write would have to come first; what the ingress offers is computed anew at start."""
    made, streams = backends(2)
    made.lose(streams[0])
    assert made.services == {"backend": 1}
    assert not any(isinstance(effect, z.Persist) for effect in made.effects)


def test_proxy_that_comes_back_within_ten_seconds_was_never_gone() -> None:
    made, streams = backends(2)
    made.lose(streams[0])
    made.tick(5.0)
    made.connect(dataplane("backend-0", "backend", address="10.0.1.1"))
    assert made.services == {"backend": 2}
    made.tick(20.0)
    assert len(made.state.local.of("Dataplane")) == 2


def test_losing_a_fifth_of_the_fleet_at_once_is_our_failure_and_endpoints_stay() -> None:
    made, streams = backends(20)
    for stream in streams[:6]:
        made.lose(stream)
    assert made.services == {"backend": 20}
    made.tick(30.0)
    assert made.services == {"backend": 20}
    made.tick(31.0)  # The reconnect grace is over: they are really gone.
    assert made.services == {"backend": 14}
    made.tick(11.0)
    assert len(made.state.local.of("Dataplane")) == 14


def test_losing_as_many_slowly_is_theirs() -> None:
    made, streams = backends(20)
    for stream in streams[:6]:
        made.lose(stream)
        made.now += 2.0
    assert made.services == {"backend": 14}


def test_who_dies_when_those_of_a_mass_loss_are_back_is_out_at_once() -> None:
    made, streams = backends(20)
    for stream in streams[:6]:
        made.lose(stream)
    for number in range(6):
        made.connect(dataplane(f"backend-{number}", "backend", address=f"10.0.1.{number + 1}"))
    assert made.services == {"backend": 20}
    made.lose(streams[10])
    assert made.services == {"backend": 19}


def test_death_in_a_small_fleet_is_never_a_mass_loss() -> None:
    made, streams = backends(2)
    made.lose(streams[0])
    made.lose(streams[1])
    assert made.services == {}


def test_stream_that_we_end_takes_no_endpoint_out() -> None:
    made, streams = backends(2)
    made.lose(streams[0], by_peer=False)
    assert made.services == {"backend": 2}


def test_proxies_from_disk_count_as_present_for_the_reconnect_grace() -> None:
    before, _ = backends(2)
    made = Zone(z.ZoneState(settings=settings()))
    kept = before.state
    made.deliver(z.Restored(START, kept.policy.all(), (), kept.local.all(), "c1"))
    assert made.services == {"backend": 2}
    made.tick(59.0)
    assert made.services == {"backend": 2}
    made.connect(INGRESS)
    made.connect(dataplane("backend-1", "backend", address="10.0.1.2"))
    made.tick(2.0)
    assert made.services == {"backend": 1}


def test_second_stream_of_a_proxy_is_refused_and_harms_nothing() -> None:
    made, _ = backends(1)
    second = made.connect(dataplane("backend-0", "backend"), listeners=False)
    closing = made.closing()
    assert closing is not None
    assert (closing.stream, closing.code) == (second, 2)
    assert "already an active stream" in closing.message
    made.lose(second, by_peer=False)
    assert made.services == {"backend": 1}


def test_zone_without_policies_says_try_again_and_registers_nobody() -> None:
    made = Zone(z.ZoneState(settings=settings()))
    made.deliver(z.Restored(START))
    made.connect(dataplane("web", "web"), listeners=False)
    closing = made.closing()
    assert closing is not None
    assert closing.code == 14
    assert made.state.local.of("Dataplane") == ()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**dataplane("web", "web"), "mesh": "nowhere"}, 'mesh "nowhere" does not exist'),
        ({"type": "Mesh", "mesh": "default", "name": "web"}, "is not a proxy"),
        ({**dataplane("web", "web"), "networking": {}}, "networking: must be present"),
    ],
)
def test_proxy_that_cannot_be_is_refused_by_name(document: dict[str, object], words: str) -> None:
    made = zone()
    made.connect(document, listeners=False)
    closing = made.closing()
    assert closing is not None
    assert words in closing.message
    assert words in str(dict(made.state.refused.items()))


def test_refused_token_is_said_and_kept_for_status() -> None:
    made = zone(verify=lambda *_: Refused("the token has expired; issue a new one"))
    made.connect(dataplane("web", "web"), listeners=False)
    closing = made.closing()
    assert closing is not None
    assert closing.message == "authentication failed: the token has expired; issue a new one"
    assert made.state.local.of("Dataplane") == ()


def test_zone_has_a_limit_of_proxies() -> None:
    made = zone(proxies_max=1)
    made.connect(dataplane("a", "a"))
    made.connect(dataplane("b", "b"), listeners=False)
    closing = made.closing()
    assert closing is not None
    assert "has its 1 proxies; raise its limit --proxies-max" in closing.message


def test_node_id_must_be_that_of_the_resource() -> None:
    made = zone()
    made.deliver(z.ProxyOpened("s", "token"))
    metadata = {"dataplane.resource": "not json"}
    made.request("s", DeltaRequest(CLUSTER, Node("default.web", metadata=metadata)))
    closing = made.closing()
    assert closing is not None
    assert "not JSON" in closing.message


def test_zone_decides_where_a_proxy_is() -> None:
    document = dataplane("web", "web")
    document["networking"]["inbound"][0]["tags"]["kuma.io/zone"] = "west"
    made = zone()
    made.connect(document)
    (found,) = made.state.local.of("Dataplane")
    assert '"kuma.io/zone":"east"' in found.body
    assert found.labels.get("kuma.io/zone") == "east"
