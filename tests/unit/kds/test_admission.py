"""Who may come in as which zone, with a token, without one, and until when."""

from __future__ import annotations

import functools
import math

import pytest

from reconciler.ca import keys, tokens
from reconciler.ca.authority import new_rsa_key_pem, public_pkcs1_pem
from reconciler.decode import mesh_resource
from reconciler.kds.admission import (
    Proof,
    ZoneKeys,
    lapsed,
    peer_address,
    prove,
    zone_keys,
)
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.repository_settings import RepositorySettings, decode_settings
from reconciler.state import from_resources

NOW = 1_800_000_000.0
SETTINGS = RepositorySettings()
LISTED = decode_settings(
    {
        "kds": {
            "tokenless": [{"zone": "kuma-1", "from": "10.1.0.0/16"}, {"zone": "six", "from": "::1"}]
        }
    }
)


@functools.cache
def key(number: int) -> bytes:
    del number
    return new_rsa_key_pem()


def secret(name: str, value: bytes) -> MeshResource:
    return mesh_resource(ResourceKey("GlobalSecret", "", name), Labels(), keys.secret_data(value))


def known(*, revoked: str = "", signed_by: int = 1) -> ZoneKeys:
    resources = [
        secret("zone-token-signing-public-key-1", public_pkcs1_pem(key(signed_by))),
        secret("zone-token-revocations", revoked.encode()),
    ]
    return zone_keys(from_resources(resources))


def token(zone: str = "east", scope: tuple[str, ...] = ("cp",), valid_s: float = 60.0) -> str:
    return tokens.issue(key(1), tokens.zone_claims(zone, scope), NOW, valid_s)


def proven(sent: str | None, zone: str = "east", peer: str = "ipv4:10.1.2.3:5") -> Proof | str:
    return prove(known(), LISTED, zone, sent, peer, NOW)


def test_token_proves_its_zone_until_it_expires() -> None:
    found = proven(token())
    assert isinstance(found, Proof)
    assert (found.identity, found.kid, found.expires) == ("zone-token:east", "1", NOW + 60)
    assert lapsed(known(), SETTINGS, "east", found, NOW + 59) is None
    assert "has expired" in str(lapsed(known(), SETTINGS, "east", found, NOW + 60))


def test_two_tokens_of_a_zone_prove_the_same() -> None:
    one, two = proven(token()), proven(token())
    assert isinstance(one, Proof)
    assert isinstance(two, Proof)
    assert one.identity == two.identity
    assert one.token_id != two.token_id


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (None, "no token was sent"),
        ("", "no token was sent"),
        ("x.y.z", "not valid"),
        (token("west"), 'of zone "west", not of "east"'),
        (token(scope=("ingress",)), 'lacks the scope "cp"'),
        (token(valid_s=-1), "has expired"),
        (
            tokens.issue(key(2), tokens.zone_claims("east", ("cp",)), NOW, 60),
            "not signed by the key",
        ),
    ],
)
def test_refusal_says_why_and_names_the_cure(sent: str | None, why: str) -> None:
    found = proven(sent)
    assert isinstance(found, str)
    assert why in found
    assert found.endswith("issue a join file with `reconciler token zone`")


def test_name_of_the_global_is_no_zone() -> None:
    assert "is the name of the global" in str(proven(token("global"), "global"))


def test_zone_without_a_token_comes_in_from_its_network_only() -> None:
    found = proven(None, "kuma-1")
    assert found == Proof("address:10.1.2.3", address="10.1.2.3")
    assert isinstance(found, Proof)
    refused = str(proven(None, "kuma-1", "ipv4:10.2.0.1:5"))
    assert "does not list it from 10.2.0.1; add that network" in refused
    assert "list a zone of Kuma, which has none, in kds.tokenless" in str(proven(None, "kuma-2"))
    assert isinstance(proven(None, "six", "ipv6:%5B::1%5D:5"), Proof)


def test_token_of_a_listed_zone_is_looked_at_all_the_same() -> None:
    assert "not valid" in str(proven("x.y.z", "kuma-1"))


def test_what_let_a_stream_in_is_looked_at_with_every_revision() -> None:
    found = proven(token())
    assert isinstance(found, Proof)
    revoked = known(revoked=f"other, {found.token_id}")
    assert "is revoked" in str(lapsed(revoked, SETTINGS, "east", found, -math.inf))
    assert "(kid 1) is gone" in str(lapsed(ZoneKeys(), SETTINGS, "east", found, -math.inf))
    assert lapsed(known(), SETTINGS, "east", found, -math.inf) is None
    bare = proven(None, "kuma-1")
    assert isinstance(bare, Proof)
    assert lapsed(known(), LISTED, "kuma-1", bare, -math.inf) is None
    assert "not listed from 10.1.2.3" in str(lapsed(known(), SETTINGS, "kuma-1", bare, 0.0))


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.1:443", "10.0.0.1"),
        ("ipv6:[2001:db8::1]:443", "2001:db8::1"),
        ("ipv6:%5B::1%5D:443", "::1"),
        ("ipv6:%5Bfe80::1%eth0%5D:443", "fe80::1"),
        ("ipv6:[::ffff:10.0.0.1]:443", "10.0.0.1"),
        ("unix:/run/socket", "None"),
        ("ipv4:nowhere", "None"),
        ("", "None"),
    ],
)
def test_address_of_a_peer_by_its_grpc_name(peer: str, address: str) -> None:
    assert str(peer_address(peer)) == address
