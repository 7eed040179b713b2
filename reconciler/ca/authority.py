"""Builtin mesh CAs, and the workload certificates that these and provided ones sign
(facts/dataplane-wire.md 4.6, 10.3).

Builtin CAs are RSA 2048 in PKCS#1, because real zones read them; workload keys are ECDSA P-256.
Whose CA it is does not matter: issuer and authority key id of a leaf are taken from the CA's
certificate as it stands, since verifiers compare both and other programs write them in their own
way.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.ca.reading import (
    CaKey,
    between_pem,
    ca_certificates,
    ca_private_key,
    rsa_private_key,
)

BACKDATE = datetime.timedelta(seconds=10)  # clocks of two hosts differ
RENEW_SHARE = 0.8  # of its life, after which a certificate is issued anew


@dataclass(frozen=True, slots=True)
class AuthorityPem:
    """A CA certificate and its private key (PKCS#1)."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """A workload certificate; times are seconds since the epoch."""

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    not_before: float
    not_after: float

    @property
    def renew_at(self) -> float:
        issued_at = self.not_before + BACKDATE.total_seconds()
        return issued_at + RENEW_SHARE * (self.not_after - issued_at)


def builtin_ca_names(mesh: str, backend: str) -> tuple[str, str]:
    """Names of the two secrets a builtin CA is kept under: certificate, key."""
    return f"{mesh}.ca-builtin-cert-{backend}", f"{mesh}.ca-builtin-key-{backend}"


def _subject(mesh: str) -> x509.Name:
    """In the order a Kuma CA has it."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Kuma"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Mesh"),
            x509.NameAttribute(NameOID.COMMON_NAME, mesh[:64]),
        ]
    )


def new_rsa_key_pem(bits: int = 2048) -> bytes:
    """A new RSA key as PKCS#1 PEM: CAs and token signing keys."""
    return _pkcs1(rsa.generate_private_key(public_exponent=65537, key_size=bits))


def _pkcs1(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def public_pkcs1_pem(private_pem: bytes) -> bytes:
    """`RSA PUBLIC KEY` of a private key: what zones get of the zone-token signing key."""
    return (
        rsa_private_key(private_pem)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    )


def new_builtin_ca(mesh: str, now: float, *, bits: int = 2048, lifetime_s: int) -> AuthorityPem:
    """A self-signed CA for one mesh backend."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    start = _moment(now) - BACKDATE
    subject = _subject(mesh)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(seconds=lifetime_s))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_uris((f"spiffe://{mesh}",)), critical=False)
        .sign(key, hashes.SHA256())
    )
    return AuthorityPem(certificate.public_bytes(serialization.Encoding.PEM), _pkcs1(key))


def issue_workload(
    mesh: str, ca: AuthorityPem, uris: tuple[str, ...], now: float, lifetime_s: int
) -> Issued:
    """A certificate for these URIs of a mesh, which ends with its CA at the latest. Raises
    ValueError for a CA that cannot be used.

    The CA's key is loaded without the checks that cost 25 ms each time; a signature that the CA's
    certificate does not confirm is an error instead.
    """
    if not uris:
        raise ValueError(f"a workload of mesh {mesh} needs at least one URI in its certificate")
    signer, authority = ca_private_key(ca.key_pem), ca_certificates(ca.cert_pem)[0]
    if authority.public_key() != signer.public_key():
        raise ValueError(f"the CA key of mesh {mesh} does not belong to the CA's certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    start = _moment(now) - BACKDATE
    # Certificates know whole seconds (RFC 5280, 4.1.2.5): rounded down, one of a few seconds would
    # end before it is renewed.
    end = min(_moment(math.ceil(now) + lifetime_s), authority.not_valid_after_utc)
    if end <= _moment(now):
        raise ValueError(f"the CA of mesh {mesh} expired on {authority.not_valid_after_utc}")
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(_uris(uris), critical=True)  # critical because the subject is empty
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(_authority_key_id(authority), critical=False)
        .sign(signer, hashes.SHA256())
    )
    _confirm(certificate, signer)
    return Issued(
        certificate.public_bytes(serialization.Encoding.PEM) + between_pem(ca.cert_pem),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        start.timestamp(),
        end.timestamp(),
    )


def _authority_key_id(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The CA's own key id: some programs hash the key with SHA-1, newer ones with SHA-256."""
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        public = authority.public_key()
        assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _confirm(certificate: x509.Certificate, signer: CaKey) -> None:
    signed, signature = certificate.tbs_certificate_bytes, certificate.signature
    try:
        if isinstance(signer, rsa.RSAPrivateKey):
            signer.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            signer.public_key().verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ValueError("the CA key is damaged: what it signs cannot be verified") from error


def _uris(uris: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=not sign_certificates,
        data_encipherment=False,
        key_agreement=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _moment(now: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now, datetime.UTC)
