"""Certificates as the sheet has them, and CAs of peers that a parser refuses."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from reconciler.ca.authority import AuthorityPem, issue_workload, new_builtin_ca
from reconciler.ca.server_tls import hosts_of, new_server_tls

NOW = 1_800_000_000.0
URIS = ("spiffe://default/web", "kuma://kuma.io/service/web")
CA = new_builtin_ca("default", NOW, lifetime_s=10 * 365 * 86400)


def test_builtin_ca_is_what_real_zones_read() -> None:
    certificate = x509.load_pem_x509_certificate(CA.cert_pem)
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
    assert CA.key_pem.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert certificate.subject.rfc4514_string() == "CN=default,OU=Mesh,O=Kuma"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://default"]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)


def test_workload_certificate_names_its_services_and_lives_as_long_as_asked() -> None:
    issued = issue_workload("default", CA, URIS, NOW, 3600)
    certificate = x509.load_pem_x509_certificate(issued.chain_pem)
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical  # because the subject is empty
    assert tuple(names.value.get_values_for_type(x509.UniformResourceIdentifier)) == URIS
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert basic.ca is False
    assert (issued.not_before, issued.not_after) == (NOW - 10, NOW + 3600)
    assert issued.renew_at == pytest.approx(NOW + 0.8 * 3600)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(CA.cert_pem))


def test_key_that_is_none_is_an_error_with_words() -> None:
    with pytest.raises(ValueError, match="CA key cannot be read"):
        issue_workload("default", AuthorityPem(CA.cert_pem, b"nonsense"), URIS, NOW, 60)


def test_server_certificate_is_for_its_hosts() -> None:
    made = new_server_tls("zone east", ("localhost", "127.0.0.1", "::1"), NOW)
    assert hosts_of(made.cert_pem) == ("localhost", "127.0.0.1", "::1")
    leaf = x509.load_pem_x509_certificate(made.cert_pem)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(made.ca_pem))


@pytest.mark.parametrize("now", [NOW, NOW + 0.1, NOW + 0.999])
def test_certificate_of_a_few_seconds_is_renewed_while_it_is_good(now: float) -> None:
    """What is in a certificate has no fractions of a second."""
    issued = issue_workload("default", CA, URIS, now, 4)
    certificate = x509.load_pem_x509_certificate(issued.chain_pem)
    assert issued.not_after == certificate.not_valid_after_utc.timestamp()
    assert issued.not_after - issued.renew_at >= 0.2 * 4 - 0.001
