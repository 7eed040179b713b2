"""Tokens: who may be whom, and that nothing else gets through."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from reconciler.ca.authority import new_rsa_key_pem, public_pkcs1_pem
from reconciler.ca.tokens import (
    Claims,
    Refused,
    allows_dataplane,
    allows_zone,
    dataplane_claims,
    issue,
    verify,
    zone_claims,
)

NOW = 1_800_000_000.0
KEY, OTHER = new_rsa_key_pem(), new_rsa_key_pem()
KEYS = {"1": public_pkcs1_pem(KEY)}


def reason(token: str, now: float = NOW, revoked: frozenset[str] = frozenset()) -> str:
    verdict = verify(token, KEYS, now, revoked)
    assert isinstance(verdict, Refused)
    return verdict.reason


def test_token_says_what_it_was_issued_for() -> None:
    token = issue(KEY, dataplane_claims("default", "web-1", {"kuma.io/service": ["web"]}), NOW, 60)
    verdict = verify(token, KEYS, NOW)
    assert isinstance(verdict, Claims)
    assert (verdict.mesh, verdict.name) == ("default", "web-1")
    assert verdict.tags == {"kuma.io/service": ("web",)}


def test_private_key_verifies_too() -> None:
    """Zones hold the mesh's signing key with its private part, as real ones do."""
    token = issue(KEY, dataplane_claims("default"), NOW, 60)
    assert isinstance(verify(token, {"1": KEY}, NOW), Claims)


def test_times_are_checked_against_the_given_clock() -> None:
    token = issue(KEY, dataplane_claims("default"), NOW, 60)
    assert "expired" in reason(token, NOW + 61)
    assert "not valid yet" in reason(token, NOW - 60)


def test_other_keys_algorithms_and_forms_are_refused() -> None:
    claims = {"Mesh": "default", "exp": NOW + 60}
    assert "not signed by the key that it names" in reason(issue(OTHER, claims, NOW, 60))
    assert "not valid" in reason(jwt.encode(claims, "", algorithm="none", headers={"kid": "1"}))
    hmac = jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": "1"})
    assert "not valid" in reason(hmac)
    assert "unknown key" in reason(jwt.encode(claims, KEY, algorithm="RS256"))
    strange = jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "2"})
    assert "unknown key" in reason(strange)
    forever = jwt.encode({"Mesh": "default"}, KEY, algorithm="RS256", headers={"kid": "1"})
    assert "not valid" in reason(forever)
    assert reason("") == "no token was sent"
    assert "not valid" in reason("a.b.c")
    assert "characters" in reason("a" * 20_000)


def test_revoked_token_is_refused() -> None:
    token = issue(KEY, dataplane_claims("default"), NOW, 60)
    verdict = verify(token, KEYS, NOW)
    assert isinstance(verdict, Claims)
    assert reason(token, revoked=frozenset({verdict.token_id})) == "the token is revoked"


WEB = {"kuma.io/service": frozenset({"web"})}


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        (Claims(mesh="default"), True),
        (Claims(mesh="default", name="web-1"), True),
        (Claims(mesh="default", name="web-2"), False),
        (Claims(mesh="other"), False),
        (Claims(mesh="default", tags={"kuma.io/service": ("web", "api")}), True),
        (Claims(mesh="default", tags={"kuma.io/service": ("api",)}), False),
        (Claims(mesh="default", tags={"team": ("a",)}), False),
        (Claims(zone="east", scope=("ingress",)), False),
    ],
)
def test_dataplane_token_allows_what_it_names(claims: Claims, allowed: bool) -> None:
    assert (allows_dataplane(claims, "default", "web-1", WEB) is None) is allowed


@pytest.mark.parametrize(
    ("scopes", "zone", "wanted", "allowed"),
    [
        (("cp",), "east", "cp", True),
        (("cp",), "west", "cp", False),
        (("ingress",), "east", "cp", False),
        (("ingress",), "east", "ingress", True),
        (("egress",), "east", "ingress", False),
    ],
)
def test_zone_token_allows_its_zone_and_scope(
    scopes: tuple[str, ...], zone: str, wanted: str, allowed: bool
) -> None:
    verdict = verify(issue(KEY, zone_claims(zone, scopes), NOW, 60), KEYS, NOW)
    assert isinstance(verdict, Claims)
    assert (allows_zone(verdict, "east", wanted) is None) is allowed


def test_token_of_no_zone_is_no_control_planes() -> None:
    verdict = verify(issue(KEY, zone_claims("", ("cp",)), NOW, 60), KEYS, NOW)
    assert isinstance(verdict, Claims)
    assert allows_zone(verdict, "east", "cp") == Refused("the token names no zone")


def test_signature_is_checked_once_and_all_else_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy shows its token on two streams; a token that was good may be none any more."""
    looks: list[str] = []

    def counted(token: str, *given: Any, **options: Any) -> Any:
        looks.append(token)
        return decode(token, *given, **options)

    decode = jwt.decode
    monkeypatch.setattr("jwt.decode", counted)
    token = issue(KEY, dataplane_claims("default"), NOW, 60)
    first = verify(token, KEYS, NOW)
    assert isinstance(first, Claims)
    assert verify(token, KEYS, NOW) == first
    assert looks == [token]
    assert "expired" in reason(token, NOW + 61)
    assert "revoked" in reason(token, revoked=frozenset({first.token_id}))
    assert isinstance(verify(token, {"1": public_pkcs1_pem(OTHER)}, NOW), Refused)
    for _ in range(2):  # What is refused is looked at again.
        assert isinstance(verify(token[:-4] + "AAAA", KEYS, NOW), Refused)
    assert len(looks) == 4
