"""What Kuma demands of a provided CA before it takes it (facts/dataplane-wire.md 4.6): all of it is
said at once, and never with a part of the key in the words.
"""

from __future__ import annotations

from itertools import pairwise

from cryptography import x509

from reconciler.ca.reading import ca_certificates, ca_private_key


def certificate_faults(cert_pem: bytes) -> tuple[str, ...]:
    """Of the signing certificate and those above it, which must be CAs, too."""
    try:
        found = ca_certificates(cert_pem)
    except ValueError as error:
        return (str(error),)
    faults = [_faults(index, certificate) for index, certificate in enumerate(found)]
    above = [
        f"certificate {index + 1} is not issued by certificate {index + 2}, which follows it"
        for index, (lower, upper) in enumerate(pairwise(found))
        if lower.issuer != upper.subject
    ]
    return (*(fault for each in faults for fault in each), *above)


def _faults(index: int, certificate: x509.Certificate) -> list[str]:
    which = f"certificate {index + 1}"
    extensions = certificate.extensions
    faults: list[str] = []
    try:
        is_ca = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if not is_ca:
        faults.append(f"{which} is no CA: basic constraint CA must be true")
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return [*faults, f"{which} lacks the key usage keyCertSign"]
    if not usage.key_cert_sign:
        faults.append(f"{which} lacks the key usage keyCertSign")
    if usage.key_agreement:
        faults.append(f"{which} must not have the key usage keyAgreement")
    return faults


def key_faults(cert_pem: bytes, key_pem: bytes) -> tuple[str, ...]:
    """Whether the key can be read and is the certificate's. A certificate that cannot be read is
    told by `certificate_faults`.
    """
    try:
        key = ca_private_key(key_pem)
    except ValueError as error:
        return (str(error),)
    try:
        certificate = ca_certificates(cert_pem)[0]
    except ValueError:
        return ()
    same = certificate.public_key() == key.public_key()
    return () if same else ("the CA key does not belong to the CA's certificate",)
