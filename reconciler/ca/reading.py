"""Reads keys and CA certificates that other programs wrote. Faults are ValueErrors with words."""

from __future__ import annotations

import base64
import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CaKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
INTEGER, VERSION = 0x02, 0xA0  # DER tags
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def rsa_private_key(data: bytes) -> rsa.RSAPrivateKey:
    """PEM, or DER as Kuma's secrets may hold it.

    Loaded without the 25 ms of primality tests: keys come from our own disk or from the global, and
    every reader of this either uses the public half only or checks what it signed.
    """
    try:
        key = _private_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the signing key cannot be read: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the signing key is not an RSA key")  # noqa: TRY004 - the value is wrong
    return key


def ca_private_key(data: bytes) -> CaKey:
    """Of a provided CA: RSA or elliptic curve, not encrypted."""
    try:
        key = _private_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the CA key cannot be read: {_without_quotes(error)}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        text = "the CA key is neither an RSA nor an elliptic curve key"
        raise ValueError(text)  # noqa: TRY004 - the value is wrong
    return key


def _private_key(data: bytes) -> object:
    load = (
        serialization.load_pem_private_key
        if data.lstrip().startswith(b"-----")
        else serialization.load_der_private_key
    )
    return load(data, None, unsafe_skip_rsa_key_validation=True)


def _without_quotes(error: Exception) -> str:
    """The library's words are long lists; the first sentence says what is wrong."""
    return str(error).partition(". ")[0].partition("(")[0].strip()


def rsa_public_key(data: bytes) -> rsa.RSAPublicKey:
    """The public half of a private key, or a public key (`RSA PUBLIC KEY` or `PUBLIC KEY`)."""
    if not data.lstrip().startswith(b"-----") or b"PRIVATE KEY" in data:
        return rsa_private_key(data).public_key()
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the public key cannot be read: {error}") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the public key is not an RSA key")  # noqa: TRY004 - the value is wrong
    return key


def ca_certificates(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM, the signing one first, at least one. Serials may be 0 as in every
    builtin CA of a real Kuma.

    `cryptography` warns about such a serial and will refuse it, so it is replaced before parsing.
    Nothing that signs or verifies with this CA looks at it: only subject, key and key id count.
    """
    found = _CERTIFICATE.findall(pem)
    if not found:
        raise ValueError("the CA certificate is not a PEM certificate")
    try:
        return [
            x509.load_der_x509_certificate(_positive_serial(base64.b64decode(each)))
            for each in found
        ]
    except (ValueError, IndexError, UnsupportedAlgorithm) as error:
        raise ValueError(f"the CA certificate cannot be read: {error}") from error


def between_pem(pem: bytes) -> bytes:
    """Of a CA's certificates those that are not self-signed, byte for byte: a verifier that trusts
    the root only needs them.
    """
    found = zip(_CERTIFICATE.finditer(pem), ca_certificates(pem), strict=True)
    return b"".join(text[0] + b"\n" for text, read in found if read.issuer != read.subject)


def not_after(pem: bytes) -> float:
    """When the first of a CA's certificates ends, in seconds since the epoch. ValueError."""
    return min(c.not_valid_after_utc.timestamp() for c in ca_certificates(pem))


def certificates_fault(pem: bytes) -> str:
    """Why nobody can be verified with these certificates; "" when all of them can be read."""
    try:
        ca_certificates(pem)
    except ValueError as error:
        return str(error)
    return ""


def pair_fault(chain_pem: bytes, key_pem: bytes) -> str:
    """Why a client cannot present this certificate with this key; "" when it can."""
    try:
        first, *_ = ca_certificates(chain_pem)
        key = _private_key(key_pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"cannot be read: {_without_quotes(error)}"
    public = getattr(key, "public_key", None)
    same = public is not None and first.public_key() == public()
    return "" if same else "the key does not belong to the certificate"


def _positive_serial(der: bytes) -> bytes:
    """The certificate with a serial of 01 01… in place of 0: Certificate > TBSCertificate >
    serial.
    """
    certificate, _ = _value(der, 0)
    start, _ = _value(der, certificate)
    if der[start] == VERSION:
        start = sum(_value(der, start))
    if der[start] != INTEGER:
        raise ValueError("no serial number where it belongs")
    begin, length = _value(der, start)
    if any(der[begin : begin + length]):
        return der
    return der[:begin] + b"\x01" * length + der[begin + length :]


def _value(der: bytes, at: int) -> tuple[int, int]:
    """Where the value of the DER element at `at` begins, and its length."""
    first = der[at + 1]
    if first < 0x80:
        return at + 2, first
    size = first & 0x7F
    return at + 2 + size, int.from_bytes(der[at + 2 : at + 2 + size], "big")
