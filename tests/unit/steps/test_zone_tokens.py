"""Tokens at the zone's step, with real keys: who is let in, and what ends who was."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from reconciler.ca import keys
from reconciler.ca.authority import new_rsa_key_pem, public_pkcs1_pem
from reconciler.ca.tokens import dataplane_claims, issue, zone_claims
from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.proxy_token import verify_proxy
from reconciler.state import ResourceDiff, apply
from reconciler.steps import zone_state as z
from reconciler.steps.zone_tokens import end_outlived
from tests.support.zone import INGRESS, START, Zone, dataplane, zone
from tests.unit.steps.test_zone_egress import EGRESS
from xds.discovery import DeltaRequest, Node
from xds.health import Introduction
from xds.resource import CLUSTER, LISTENER

if TYPE_CHECKING:
    from collections.abc import Callable

DATAPLANE_KEY = keys.dataplane_signing_key("default")
HOUR = 3600.0


@cache
def pem(name: str) -> bytes:
    assert name
    return new_rsa_key_pem()


def secret(name: str, value: bytes, mesh: str = "default") -> MeshResource:
    type_ = "Secret" if mesh else "GlobalSecret"
    return mesh_resource(ResourceKey(type_, mesh, name), Labels(), keys.secret_data(value))


def keyed(*more: MeshResource, **changes: Any) -> Zone:
    return zone(
        secret(f"{DATAPLANE_KEY}1", pem("1")),
        secret(f"{keys.ZONE_PUBLIC_KEY}1", public_pkcs1_pem(pem("zone")), mesh=""),
        *more,
        verify=verify_proxy,
        **changes,
    )


def token(valid_s: float = HOUR, key: str = "1", kid: str = "1", **claims: Any) -> str:
    given = {**dataplane_claims("default"), **claims}
    return issue(pem(key), given, START, valid_s, kid)


def ingress_token(zone_name: str = "east", scope: tuple[str, ...] = ("ingress",)) -> str:
    return issue(pem("zone"), zone_claims(zone_name, scope), START, HOUR)


def connect(made: Zone, document: dict[str, Any], shown: str) -> tuple[str, str | None]:
    """Stream, and why it was refused."""
    made.streams += 1
    stream = f"s{made.streams}"
    metadata = {"dataplane.resource": json.dumps(document)}
    node = Node(f"{document.get('mesh', '')}.{document['name']}", metadata=metadata)
    made.deliver(z.ProxyOpened(stream, shown))
    made.request(stream, DeltaRequest(CLUSTER, node))
    closing = made.closing()
    if closing is not None:
        return stream, closing.message
    made.request(stream, DeltaRequest(LISTENER))
    for response in made.sent.get(stream, []):
        if response.type_url == LISTENER:
            made.request(stream, DeltaRequest(LISTENER, nonce=response.nonce))
    return stream, None


def refusal(document: dict[str, Any], shown: str, *more: MeshResource, **changes: Any) -> str:
    """As the proxy is told, and as status shows it."""
    made = keyed(*more, **changes)
    _, why = connect(made, document, shown)
    if why is None:
        return ""
    assert list(made.state.refused.values()) == [why]
    assert made.state.local.of("Dataplane") == ()
    return why


WEB = dataplane("web", "web")


def test_token_of_its_mesh_lets_a_proxy_in() -> None:
    assert refusal(WEB, token()) == ""
    assert refusal(INGRESS, ingress_token()) == ""
    assert refusal(EGRESS, ingress_token(scope=("egress",))) == ""
    assert refusal(EGRESS, ingress_token(scope=("ingress", "egress"))) == ""
    assert refusal(WEB, token(key="2", kid="2"), secret(f"{DATAPLANE_KEY}2", pem("2"))) == ""


def _unsigned() -> str:
    head = {"alg": "none", "typ": "JWT", "kid": "1"}
    parts = [head, {**dataplane_claims("default"), "exp": START + HOUR}]
    text = ".".join(
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts
    )
    return f"{text}."


def _by_public_key() -> str:
    """HS256, with the public key as the shared secret: whoever knows it could sign."""
    head = {"alg": "HS256", "typ": "JWT", "kid": "1"}
    parts = [head, {**zone_claims("east", ("ingress",)), "exp": START + HOUR}]
    text = ".".join(
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts
    )
    key = public_pkcs1_pem(pem("zone"))
    signed = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signed).rstrip(b'=').decode()}"


def _without_kid() -> str:
    return jwt.encode({"exp": START + HOUR}, pem("1"), algorithm="RS256")


@pytest.mark.parametrize(
    ("document", "make", "why"),
    [
        (WEB, lambda: "", "no token was sent"),
        (WEB, lambda: "a.b.c", "is not valid"),
        (WEB, lambda: token(valid_s=-1.0), "has expired"),
        (WEB, lambda: token(Mesh="other"), "proxy mesh from requestor"),
        (WEB, lambda: token(Name="db"), "proxy name from requestor"),
        (WEB, lambda: token(Tags={"kuma.io/service": ["db"]}), "kuma.io/service with value: web"),
        (WEB, lambda: token(Tags={"team": ["a"]}), 'has no tag "team"'),
        (WEB, lambda: token(Type="ingress"), 'for the proxy type "ingress"'),
        (WEB, lambda: token(Workload="api"), 'for the workload "api"'),
        (WEB, lambda: token(key="2"), "of another mesh, of another control plane, or"),
        (WEB, lambda: token(kid="7"), "unknown key (kid '7')"),
        (WEB, _unsigned, "is not valid"),
        (WEB, _without_kid, "unknown key (kid None)"),
        (WEB, ingress_token, "of another kind (dataplane, zone, user)"),
        (INGRESS, token, "of another kind (dataplane, zone, user)"),
        (INGRESS, _by_public_key, "is not valid"),
        (INGRESS, lambda: ingress_token("west"), 'of zone "west", not of "east"'),
        (INGRESS, lambda: ingress_token(scope=("egress",)), 'lacks the scope "ingress"'),
        (INGRESS, lambda: ingress_token(scope=("cp",)), 'lacks the scope "ingress"'),
        (EGRESS, ingress_token, 'lacks the scope "egress"'),
        (EGRESS, lambda: ingress_token("west", ("egress",)), 'of zone "west", not of "east"'),
    ],
)
def test_token_that_is_none_for_this_proxy_says_why(
    document: dict[str, Any], make: Callable[[], str], why: str
) -> None:
    found = refusal(document, make())
    assert found.startswith("authentication failed: ")
    assert why in found


def test_revoked_token_lets_nobody_in() -> None:
    shown = token()
    jti = jwt.decode(shown, options={"verify_signature": False})["jti"]
    revoked = secret(keys.dataplane_revocations("default"), f"x, {jti}".encode())
    assert "revoked" in refusal(WEB, shown, revoked)
    elsewhere = secret(keys.dataplane_revocations("default"), b"another")
    assert refusal(WEB, shown, elsewhere) == ""


def test_token_of_a_mesh_is_checked_with_the_keys_of_that_mesh() -> None:
    other = mesh_resource(ResourceKey("Mesh", "", "other"), Labels(), {})
    foreign = secret(f"{keys.dataplane_signing_key('other')}1", pem("2"), mesh="other")
    document = {**WEB, "mesh": "other"}
    assert "it is of another mesh" in refusal(document, token(Mesh=""), other, foreign)


def test_zone_may_limit_how_old_a_token_is() -> None:
    made = keyed(token_age_max_s=60.0)
    stream, why = connect(made, WEB, token())
    assert why is None
    made.tick(54.0)  # Tokens are backdated by 5 s.
    assert made.closing() is None
    made.tick(2.0)
    closing = made.closing()
    assert closing is not None
    assert (closing.stream, "--token-age-max" in closing.message) == (stream, True)
    _, why = connect(made, dataplane("late", "late"), token())
    assert "over the limit --token-age-max of 60 s" in str(why)


# --- another's name ---


def test_token_bound_to_one_service_takes_no_other_proxys_place() -> None:
    made = keyed()
    stream, _ = connect(made, WEB, token(Tags={"kuma.io/service": ["web"]}))
    made.lose(stream)
    thief = token(Tags={"kuma.io/service": ["db"]})
    _, why = connect(made, dataplane("web", "db"), thief)
    assert "is registered, and the token does not allow to replace it" in str(why)
    (kept,) = made.state.local.of("Dataplane")
    assert '"kuma.io/service":"web"' in kept.body
    made.tick(11.0)  # It is gone: the name is free.
    assert connect(made, dataplane("web", "db"), thief)[1] is None


# --- tokens that end while their stream is open ---


def serving(*more: MeshResource) -> tuple[Zone, str]:
    made = keyed(*more)
    connect(made, INGRESS, ingress_token())
    stream, why = connect(made, WEB, token(valid_s=60.0))
    assert why is None
    assert made.services == {"web": 1}
    return made, stream


def changed(made: Zone, *put: MeshResource, drop: tuple[ResourceKey, ...] = ()) -> list[z.Effect]:
    """As after a revision with these secrets was put in force."""
    state = made.state
    policy = apply(state.policy, ResourceDiff(put=put, drop=drop))
    made.state, effects = end_outlived(replace(state, policy=policy), made.now)
    return [*effects, *made.deliver(z.BuildDue(made.now))]


def ended(made: Zone, effects: list[z.Effect], stream: str) -> str:
    """The reason; the endpoint is out, and what follows from the end of the stream changes that
    no more.
    """
    (closing,) = [e for e in effects if isinstance(e, z.CloseStream)]
    assert closing.stream == stream
    assert made.services == {}
    assert made.state.refused["default.web"] == closing.message
    assert any(isinstance(e, z.Note) and e.event == "proxy.refused" for e in effects)
    made.lose(stream, by_peer=False)
    assert made.services == {}
    made.tick(10.0)
    assert made.state.local.of("Dataplane") == ()
    return closing.message


def test_stream_ends_when_its_token_expires() -> None:
    made, stream = serving()
    made.tick(59.0)
    assert made.closing() is None
    made.tick(1.0)
    assert "has expired" in ended(made, made.effects, stream)


def test_stream_ends_when_its_token_is_revoked_and_others_stay() -> None:
    made, stream = serving()
    connect(made, dataplane("db", "db"), token())
    claims = made.state.proxies["default.web"].claims
    assert claims is not None
    revoked = secret(keys.dataplane_revocations("default"), claims.token_id.encode())
    effects = changed(made, revoked)
    assert [e.stream for e in effects if isinstance(e, z.CloseStream)] == [stream]
    assert made.services == {"db": 1}
    assert "was revoked" in made.state.refused["default.web"]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_stream_ends_when_the_key_of_its_token_goes(how: str) -> None:
    made, stream = serving(secret(f"{DATAPLANE_KEY}2", pem("2")))
    name = f"{DATAPLANE_KEY}1"
    if how == "removed":
        effects = changed(made, drop=(ResourceKey("Secret", "default", name),))
    else:
        effects = changed(made, secret(name, pem("3")))
    assert "the key that signed the token (kid '1') was removed" in ended(made, effects, stream)


def test_new_key_beside_the_old_ends_nothing() -> None:
    made, _ = serving()
    assert changed(made, secret(f"{DATAPLANE_KEY}2", pem("2"))) == []


def test_health_stream_ends_with_the_token() -> None:
    made, _ = serving()
    made.deliver(z.HealthOpened("h", token(), made.now))
    made.deliver(z.HealthSaid("h", Introduction("default.web"), made.now))
    assert made.state.health["h"].asked is not None
    made.tick(60.0)
    assert [e.stream for e in made.effects if isinstance(e, z.CloseHealth)] == ["h"]
    assert len(made.state.health) == 0


def test_mesh_that_is_gone_takes_no_running_proxy_s_stream() -> None:
    """Its proxies keep what they have, as with every other part of a mesh that is not there."""
    made, _ = serving()
    gone = (
        ResourceKey("Mesh", "", "default"),
        ResourceKey("Secret", "default", f"{DATAPLANE_KEY}1"),
    )
    assert changed(made, drop=gone) == []


def test_many_tokens_make_one_wake() -> None:
    made = keyed()
    for i in range(5):
        connect(made, dataplane(f"web-{i}", "web"), token(valid_s=60.0 + i))
    due = made.state.token_due
    assert due == START + 60.0
    made.tick(60.0)
    assert [e.stream for e in made.effects if isinstance(e, z.CloseStream)] == ["s1"]
    assert made.state.token_due == START + 61.0


# --- tokens that are read anew ---


def rereading() -> tuple[Zone, str]:
    """Its token ends after 600 s; from 60 s before on the zone wants a newer one."""
    made = keyed(token_renewal_s=60.0)
    connect(made, INGRESS, ingress_token())
    stream, why = connect(made, WEB, token(valid_s=600.0))
    assert why is None
    made.deliver(z.HealthOpened("h", token(valid_s=600.0), made.now))
    made.deliver(z.HealthSaid("h", Introduction("default.web"), made.now))
    made.tick(539.0)
    assert (made.closing(), made.services) == (None, {"web": 1})
    made.tick(1.0)
    return made, stream


def test_proxy_that_reads_its_token_anew_is_asked_for_it_and_stays_in() -> None:
    made, stream = rereading()
    closing = made.closing()
    assert closing is not None
    assert (closing.stream, closing.code) == (stream, 14)
    assert [e.stream for e in made.effects if isinstance(e, z.CloseHealth)] == ["h"]
    made.lose(stream, by_peer=False)
    assert (made.services, made.state.refused) == ({"web": 1}, {})
    assert connect(made, WEB, token(valid_s=1200.0))[1] is None
    made.tick(100.0)
    assert (made.closing(), made.services) == (None, {"web": 1})
    assert made.state.token_due == START + 1200.0 - 60.0


def test_proxy_that_comes_with_the_same_token_is_served_until_it_ends() -> None:
    made, _ = rereading()
    stream, why = connect(made, WEB, token(valid_s=600.0))
    assert why is None
    made.tick(59.0)
    assert (made.closing(), made.services) == (None, {"web": 1})
    made.tick(1.0)
    assert "has expired" in ended(made, made.effects, stream)


def test_proxy_that_was_asked_and_stays_away_is_out_when_its_token_ends() -> None:
    made, _ = rereading()
    made.tick(59.0)
    assert made.services == {"web": 1}
    made.tick(1.0)
    assert made.services == {}
    made.tick(10.0)
    assert made.state.local.of("Dataplane") == ()


def test_short_token_is_asked_for_late_in_its_life() -> None:
    made = keyed(token_renewal_s=60.0)
    connect(made, WEB, token(valid_s=45.0))  # Issued 5 s ago, as the token says.
    assert made.state.token_due == START + 40.0


def test_token_that_is_not_read_anew_is_not_asked_for() -> None:
    made, _ = serving()
    made.tick(59.9)
    assert made.closing() is None
