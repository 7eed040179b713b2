"""CAs that an organisation brings: what is taken, what is refused and why, and what they sign."""

from __future__ import annotations

import datetime
import warnings
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from reconciler.ca.authority import AuthorityPem, issue_workload
from reconciler.ca.provided import certificate_faults, key_faults
from reconciler.ca.reading import ca_certificates, not_after
from tests.support.authorities import Made, key_pem, made_ca

NOW = 1_800_000_000.0
URIS = ("spiffe://default/web",)
EC = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.mark.parametrize("key", [EC, RSA], ids=["ec", "rsa"])
def test_ca_of_either_kind_of_key_signs_workloads(key: Made) -> None:
    cert = made_ca(key, NOW)
    assert certificate_faults(cert) == ()
    assert key_faults(cert, key_pem(key)) == ()
    issued = issue_workload("default", AuthorityPem(cert, key_pem(key)), URIS, NOW, 60)
    leaf = x509.load_pem_x509_certificate(issued.chain_pem)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(cert))


def test_intermediate_travels_with_what_it_signed_and_the_root_does_not() -> None:
    root = made_ca(RSA, NOW, "root")
    between = made_ca(EC, NOW, "between", issuer=("root", RSA))
    assert certificate_faults(between + root) == ()
    ca = AuthorityPem(between + root, key_pem(EC))
    issued = issue_workload("default", ca, URIS, NOW, 60)
    leaf, above = x509.load_pem_x509_certificates(issued.chain_pem)
    leaf.verify_directly_issued_by(above)
    above.verify_directly_issued_by(x509.load_pem_x509_certificate(root))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"is_ca": False}, "certificate 1 is no CA: basic constraint CA must be true"),
        ({"basic": False}, "certificate 1 is no CA: basic constraint CA must be true"),
        ({"signs": False}, "certificate 1 lacks the key usage keyCertSign"),
        ({"usage": False}, "certificate 1 lacks the key usage keyCertSign"),
        ({"agrees": True}, "certificate 1 must not have the key usage keyAgreement"),
    ],
)
def test_what_kuma_refuses_of_a_ca_is_refused(changes: Any, fault: str) -> None:
    assert certificate_faults(made_ca(EC, NOW, **changes)) == (fault,)


def test_chain_stands_in_order() -> None:
    root, other = made_ca(RSA, NOW, "root"), made_ca(RSA, NOW, "other")
    between = made_ca(EC, NOW, "between", issuer=("root", RSA))
    text = "certificate 1 is not issued by certificate 2, which follows it"
    assert text in certificate_faults(between + other)
    assert text in certificate_faults(root + between)


def test_key_belongs_to_the_certificate() -> None:
    cert = made_ca(EC, NOW)
    assert key_faults(cert, key_pem(RSA)) == ("the CA key does not belong to the CA's certificate",)


@pytest.mark.parametrize(
    "data",
    [
        b"hunter2-not-a-key",
        b"-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n",
        EC.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        ),
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    ],
    ids=["text", "pem of text", "encrypted", "ed25519"],
)
def test_key_that_cannot_be_used_is_told_without_a_part_of_it(data: bytes) -> None:
    (fault,) = key_faults(made_ca(EC, NOW), data)
    assert fault.startswith("the CA key ")
    assert "hunter2" not in fault
    assert "aHVu" not in fault


def test_certificate_ends_with_its_ca_and_an_expired_ca_signs_nothing() -> None:
    cert = made_ca(EC, NOW, lifetime_s=100)
    assert not_after(cert) == NOW + 100
    ca = AuthorityPem(cert, key_pem(EC))
    assert issue_workload("default", ca, URIS, NOW, 3600).not_after == NOW + 100
    with pytest.raises(ValueError, match="the CA of mesh default expired on"):
        issue_workload("default", ca, URIS, NOW + 101, 3600)


def test_peers_ca_with_serial_0_is_used_without_a_warning() -> None:
    """Every builtin CA of a real Kuma has it; `cryptography` warns of it and will refuse it."""
    cert = made_ca(RSA, NOW, serial_0=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        issued = issue_workload("default", AuthorityPem(cert, key_pem(RSA)), URIS, NOW, 60)
        (leaf,) = ca_certificates(issued.chain_pem)
        assert not_after(cert) > NOW
        assert certificate_faults(cert) == ()
    with pytest.warns(Warning, match="serial"):
        assert x509.load_pem_x509_certificate(cert).serial_number == 0
    signed = leaf.tbs_certificate_bytes
    RSA.public_key().verify(leaf.signature, signed, padding.PKCS1v15(), hashes.SHA256())


def test_times_are_those_of_the_certificate() -> None:
    end = datetime.datetime.fromtimestamp(NOW + 60, datetime.UTC)
    cert = made_ca(EC, NOW, lifetime_s=60)
    assert ca_certificates(cert)[0].not_valid_after_utc == end
