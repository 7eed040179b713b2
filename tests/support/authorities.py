"""CAs as organisations and other programs make them, good and bad. Test support."""

from __future__ import annotations

import base64
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Made = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def key_pem(key: Made) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def made_ca(
    key: Made,
    now: float,
    name: str = "corporate",
    *,
    issuer: tuple[str, Made] | None = None,
    lifetime_s: float = 86400 * 365,
    is_ca: bool = True,
    basic: bool = True,
    usage: bool = True,
    signs: bool = True,
    agrees: bool = False,
    serial_0: bool = False,
) -> bytes:
    """PEM; self-signed unless `issuer` signs it."""
    by, signer = issuer if issuer is not None else (name, key)
    start = datetime.datetime.fromtimestamp(now, datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(by))
        .public_key(key.public_key())
        .serial_number(1 if serial_0 else x509.random_serial_number())
        .not_valid_before(start - datetime.timedelta(seconds=10))
        .not_valid_after(start + datetime.timedelta(seconds=lifetime_s))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if basic:
        builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    if usage:
        builder = builder.add_extension(_usage(signs=signs, agrees=agrees), critical=True)
    made = builder.sign(signer, hashes.SHA256())
    return _with_serial_0(made, signer) if serial_0 else made.public_bytes(_PEM)


_PEM = serialization.Encoding.PEM


def _usage(*, signs: bool, agrees: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=agrees,
        key_cert_sign=signs,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _with_serial_0(made: x509.Certificate, signer: Made) -> bytes:
    """The library makes none with serial 0, so that the number is changed and the certificate
    signed anew: lengths stay, the signature is the last part.
    """
    assert isinstance(signer, rsa.RSAPrivateKey)
    from cryptography.hazmat.primitives.asymmetric import padding

    signed = made.tbs_certificate_bytes
    at = signed.index(b"\x02\x01\x01")  # INTEGER, one byte, 1
    changed = signed[:at] + b"\x02\x01\x00" + signed[at + 3 :]
    signature = signer.sign(changed, padding.PKCS1v15(), hashes.SHA256())
    der = made.public_bytes(serialization.Encoding.DER)
    der = der.replace(signed, changed).replace(made.signature, signature)
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"
