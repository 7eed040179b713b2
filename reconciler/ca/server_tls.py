"""TLS of the control plane's own ports: a small CA made on first start, and a server certificate it
signs.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=3650)
BACKDATE = datetime.timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a server shows and what its clients verify it by."""

    ca_pem: bytes
    cert_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_server_tls(name: str, hosts: tuple[str, ...], now: float) -> ServerTls:
    """A CA of its own and a certificate for these host names and addresses."""
    signer, key = new_ca(f"{name} CA", now), ec.generate_private_key(ec.SECP256R1())
    leaf = (
        leaf_builder(signer, name, key.public_key(), now)
        .add_extension(x509.SubjectAlternativeName([san(host) for host in hosts]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_pem = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ServerTls(signer.certificate.public_bytes(pem), leaf.public_bytes(pem), key_pem)


def new_ca(name: str, now: float) -> Signer:
    """Self-signed; it signs leaves only."""
    key, issuer = ec.generate_private_key(ec.SECP256R1()), _name(name)
    certificate = (
        _builder(issuer, issuer, key.public_key(), _start(now))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signer(certificate, key)


def leaf_builder(
    signer: Signer, name: str, key: ec.EllipticCurvePublicKey, now: float
) -> x509.CertificateBuilder:
    """What every certificate has; its names and what it may be used for are to be added."""
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    return (
        _builder(_name(name), signer.certificate.subject, key, _start(now))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(authority, critical=False)
    )


def _start(now: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now, datetime.UTC) - BACKDATE


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    start: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Strict verifiers (Python 3.13 is one by default) want it on a CA, and keyCertSign in it."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def san(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def hosts_of(cert_pem: bytes) -> tuple[str, ...]:
    """Host names and addresses a server certificate is for."""
    certificate = x509.load_pem_x509_certificate(cert_pem)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = found.get_values_for_type(x509.DNSName)
    return (*names, *map(str, found.get_values_for_type(x509.IPAddress)))


def ca_problem(pem: str) -> str:
    """Why nobody can verify a server by the first certificate in `pem`; "" when somebody can.

    One without basic constraints passes: such CAs exist.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return ""
    except ValueError:
        return "holds no certificate in PEM that can be read"
    if found.ca:
        return ""
    return (
        "is a certificate that may sign no others (basic constraint CA is false); give the CA "
        "that signed the server's certificate with --ca-file (--ca-cert-file of kuma-dp)"
    )
