"""Keys, CAs and claims that others made: those of a real Kuma work, the broken ones have words."""

from __future__ import annotations

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from reconciler.ca.authority import (
    AuthorityPem,
    issue_workload,
    new_builtin_ca,
    new_rsa_key_pem,
    public_pkcs1_pem,
)
from reconciler.ca.reading import rsa_private_key
from reconciler.ca.tokens import Claims, Refused, allows_dataplane, dataplane_claims, issue, verify

NOW = 1_800_000_000.0
URIS = ("spiffe://default/web",)
KEY = new_rsa_key_pem()


def test_key_of_another_ca_is_refused() -> None:
    ca = new_builtin_ca("default", NOW, lifetime_s=3600)
    with pytest.raises(ValueError, match="does not belong to the CA's certificate"):
        issue_workload("default", AuthorityPem(ca.cert_pem, KEY), URIS, NOW, 60)


def test_damaged_private_part_is_found_before_a_proxy_sees_it() -> None:
    """Same public half, wrong private exponent: the signature is not confirmed, or not made."""
    ca = new_builtin_ca("default", NOW, lifetime_s=3600)
    key = rsa_private_key(ca.key_pem)
    damaged = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    numbers = key.private_numbers()
    for secret in (numbers.d, numbers.dmp1, numbers.dmq1):
        good = secret.to_bytes((secret.bit_length() + 7) // 8, "big")
        assert good in damaged
        damaged = damaged.replace(good, good[:-1] + bytes([good[-1] ^ 2]))
    with pytest.raises(ValueError, match=r"cannot be verified|cannot be used"):
        issue_workload("default", AuthorityPem(ca.cert_pem, damaged), URIS, NOW, 60)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"nonsense",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ],
)
def test_ca_certificate_that_is_none_is_an_error_with_words(pem: bytes) -> None:
    with pytest.raises(ValueError, match="CA certificate"):
        issue_workload("default", AuthorityPem(pem, KEY), URIS, NOW, 60)


def test_certificate_without_a_name_is_not_made() -> None:
    ca = new_builtin_ca("default", NOW, lifetime_s=3600)
    with pytest.raises(ValueError, match="at least one URI"):
        issue_workload("default", ca, (), NOW, 60)


# --- tokens ---


def test_keys_in_every_form_of_kumas_secrets_verify() -> None:
    der = rsa_private_key(KEY).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    spki = (
        rsa_private_key(KEY)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    token = issue(KEY, dataplane_claims("default"), NOW, 60)
    for key in (KEY, der, public_pkcs1_pem(KEY), spki):
        assert isinstance(verify(token, {"1": key}, NOW), Claims)


@pytest.mark.parametrize(
    "key",
    [b"", b"nonsense", KEY.replace(b"\n", b"\n!", 3), b"-----BEGIN PUBLIC KEY-----\nA\n"],
)
def test_signing_key_that_cannot_be_read_refuses_and_says_so(key: bytes) -> None:
    """A verdict, not a crash: one damaged secret must not stop the zone."""
    verdict = verify(issue(KEY, dataplane_claims("default"), NOW, 60), {"1": key}, NOW)
    assert isinstance(verdict, Refused)
    assert "cannot be read" in verdict.reason


@pytest.mark.parametrize(
    "claims",
    [
        {"Tags": {"kuma.io/service": "web"}},
        {"Tags": {"kuma.io/service": [1]}},
        {"Tags": {"kuma.io/service": 7}},
        {"Tags": ["kuma.io/service"]},
        {"Scope": "cp"},
        {"Scope": [["cp"]]},
        {"Name": ["web-1"]},
        {"Mesh": 1},
    ],
)
def test_claims_of_another_form_are_refused(claims: dict[str, object]) -> None:
    """Signed or not: "web" is not the list w, e, b."""
    verdict = verify(issue(KEY, claims, NOW, 60), {"1": KEY}, NOW)
    assert verdict == Refused("the token's claims have another form than Kuma's")


@pytest.mark.parametrize("expires", [float("nan"), float("inf"), True, "tomorrow", None])
def test_token_without_an_end_is_refused(expires: object) -> None:
    token = jwt.encode({"exp": expires}, KEY, algorithm="RS256", headers={"kid": "1"})
    assert isinstance(verify(token, {"1": KEY}, NOW), Refused)


def test_token_of_a_workload_needs_that_label() -> None:
    claims = Claims(mesh="default", workload="checkout")
    assert isinstance(allows_dataplane(claims, "default", "web-1", {}), Refused)
    assert isinstance(allows_dataplane(claims, "default", "web-1", {}, "billing"), Refused)
    assert allows_dataplane(claims, "default", "web-1", {}, "checkout") is None


def test_token_of_another_proxy_type_is_refused() -> None:
    claims = Claims(mesh="default", type="ingress")
    assert isinstance(allows_dataplane(claims, "default", "web-1", {}), Refused)


def test_token_without_a_mesh_is_of_the_mesh_whose_key_signed_it() -> None:
    """`Name` and `Mesh` are compared if present: the key is per mesh."""
    assert allows_dataplane(Claims(), "default", "web-1", {}) is None
