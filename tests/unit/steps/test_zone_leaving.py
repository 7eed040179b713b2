"""Proxies that end in order, and ingresses that come and go."""

from __future__ import annotations

from reconciler.ca.tokens import Claims, Refused
from reconciler.model.resource import ResourceKey
from reconciler.steps import zone_state as z
from reconciler.steps.zone_admission import may_leave
from tests.support.zone import INGRESS, Zone, dataplane, settings, zone
from xds.discovery import DeltaRequest
from xds.resource import LISTENER

WEB = ResourceKey("Dataplane", "default", "web")


def serving() -> tuple[Zone, str]:
    made = zone()
    made.connect(INGRESS)
    return made, made.connect(dataplane("web", "web"))


def test_endpoint_of_a_proxy_that_leaves_is_out_while_it_still_serves() -> None:
    made, stream = serving()
    made.deliver(z.ProxyLeaves("default.web", made.now))
    assert made.services == {}
    assert made.closing() is None
    assert made.state.proxies["default.web"].stream == stream
    made.lose(stream)
    made.tick(10.0)
    assert made.state.local.get(WEB) is None


def test_proxy_that_left_and_comes_anew_is_in() -> None:
    made, stream = serving()
    made.deliver(z.ProxyLeaves("default.web", made.now))
    made.lose(stream)
    made.connect(dataplane("web", "web"))
    assert made.services == {"web": 1}


def test_leaving_is_no_loss_that_could_be_ours() -> None:
    """A rollout of half the fleet holds nothing in that is about to end."""
    made = zone()
    made.connect(INGRESS)
    streams = [made.connect(dataplane(f"web-{i}", "web")) for i in range(10)]
    for i, stream in enumerate(streams[:6]):
        made.deliver(z.ProxyLeaves(f"default.web-{i}", made.now))
        made.lose(stream, by_peer=i % 2 == 0)
    assert made.services == {"web": 4}


def test_leaving_twice_or_by_a_stranger_does_nothing() -> None:
    made, _ = serving()
    made.deliver(z.ProxyLeaves("default.web", made.now))
    assert made.deliver(z.ProxyLeaves("default.web", made.now)) == []
    assert made.deliver(z.ProxyLeaves("default.nobody", made.now)) == []


def test_only_the_token_of_a_proxy_takes_it_out() -> None:
    tokens = {"token": Claims(), "foreign": Refused("of another mesh")}
    made = zone(verify=lambda _p, _r, token, _n: tokens[token])
    made.connect(dataplane("web", "web"))
    assert may_leave(made.state, WEB, "token", made.now) is None
    assert may_leave(made.state, WEB, "foreign", made.now) == (
        "authentication failed: of another mesh"
    )
    nobody = ResourceKey("Dataplane", "default", "nobody")
    assert "not registered here" in str(may_leave(made.state, nobody, "token", made.now))


# --- ingresses ---


def test_new_ingress_offers_nothing_before_it_listens() -> None:
    made = zone()
    made.connect(dataplane("web", "web"))
    stream = made.connect(INGRESS, listeners=False)
    assert made.services == {}
    made.request(stream, DeltaRequest(LISTENER))
    (listeners,) = [r for r in made.sent[stream] if r.type_url == LISTENER]
    assert made.services == {}
    made.request(stream, DeltaRequest(LISTENER, nonce=listeners.nonce))
    assert made.services == {"web": 1}


def test_ingress_that_is_gone_offers_nothing_at_once() -> None:
    made = zone()
    made.connect(dataplane("web", "web"))
    stream = made.connect(INGRESS)
    assert made.services == {"web": 1}
    made.lose(stream)
    assert made.services == {}
    made.connect(INGRESS)
    assert made.services == {"web": 1}


def test_ingress_offers_on_while_the_loss_is_ours() -> None:
    made = zone()
    made.connect(dataplane("web", "web"))
    stream = made.connect(INGRESS)
    made.lose(stream, by_peer=False)
    assert made.services == {"web": 1}
    kept = made.state
    again = Zone(z.ZoneState(settings=settings()))
    again.deliver(z.Restored(made.now, kept.policy.all(), (), kept.local.all(), "c1"))
    assert again.services == {"web": 1}


def test_other_ingress_of_the_zone_offers_on() -> None:
    made = zone()
    made.connect(dataplane("web", "web"))
    stream = made.connect(INGRESS)
    made.connect({**INGRESS, "name": "second"})
    made.lose(stream)
    offers = {
        r.key.name: len(r.spec.available_services)  # type: ignore[union-attr]
        for r in made.state.local.of("ZoneIngress")
    }
    assert offers == {"ingress": 0, "second": 1}
