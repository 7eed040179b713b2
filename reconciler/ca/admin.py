"""The CA of a zone's access to its proxies' admin interfaces, and what it signs
(facts/dataplane-wire.md 6).

One PEM holds certificate and key, as Kuma's GlobalSecret `envoy-admin-ca` does. It never leaves its
zone, so nobody else reads it and its keys are ECDSA.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from reconciler.ca.server_tls import Signer, leaf_builder, new_ca, san
from xds.view import AdminTls

ADMIN_CA = "envoy-admin-ca"  # name of the secret
CLIENT = "kuma-cp"  # DNS SAN of the control plane's certificate


@dataclass(frozen=True, slots=True)
class ClientPem:
    ca_pem: bytes
    chain_pem: bytes
    key_pem: bytes = field(repr=False)


def admin_identity(node_id: str) -> str:
    """URI SAN by which a proxy is told from another one at the same address."""
    return f"kuma-admin://{quote(node_id, safe='.')}"


def new_admin_ca(now: float) -> bytes:
    """Certificate, then key."""
    made = new_ca("envoy-admin-ca", now)
    return _pem(made.certificate) + _key_pem(made.key)


def issue_admin_server(ca_pem: bytes, hosts: tuple[str, ...], node_id: str, now: float) -> AdminTls:
    """For the listener of one proxy. Raises ValueError for a CA that cannot be used."""
    signer = _signer(ca_pem)
    names = [*map(san, hosts), x509.UniformResourceIdentifier(admin_identity(node_id))]
    chain, key = _leaf(signer, names, ExtendedKeyUsageOID.SERVER_AUTH, now)
    return AdminTls(_pem(signer.certificate), chain, key, CLIENT)


def issue_admin_client(ca_pem: bytes, now: float) -> ClientPem:
    """For the control plane itself. Raises ValueError for a CA that cannot be used."""
    signer = _signer(ca_pem)
    names: list[x509.GeneralName] = [x509.DNSName(CLIENT)]
    chain, key = _leaf(signer, names, ExtendedKeyUsageOID.CLIENT_AUTH, now)
    return ClientPem(_pem(signer.certificate), chain, key)


def _leaf(
    signer: Signer, names: list[x509.GeneralName], usage: x509.ObjectIdentifier, now: float
) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        leaf_builder(signer, "admin access", key.public_key(), now)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    return _pem(leaf), _key_pem(key)


def _signer(ca_pem: bytes) -> Signer:
    try:
        certificate = x509.load_pem_x509_certificate(ca_pem)
        key = serialization.load_pem_private_key(ca_pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        text = f"the CA of admin access cannot be read; move {ADMIN_CA} away to have one made"
        raise ValueError(text) from error
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey)
        or certificate.public_key() != key.public_key()
    ):
        raise ValueError(f"the CA of admin access ({ADMIN_CA}) is not a certificate and its key")
    return Signer(certificate, key)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
