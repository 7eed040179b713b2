"""The CA of admin access: made once by each zone, kept private, and what it signs."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from reconciler.ca.admin import (
    ADMIN_CA,
    admin_identity,
    issue_admin_client,
    issue_admin_server,
    new_admin_ca,
)
from reconciler.keys.admin_ca import admin_ca
from reconciler.keys.secret_store import FileSecrets

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0


def test_it_is_made_once_and_private(tmp_path: Path) -> None:
    first = admin_ca(FileSecrets(tmp_path / "secrets"), NOW)
    assert admin_ca(FileSecrets(tmp_path / "secrets"), NOW + 1) == first
    file = tmp_path / "secrets" / ADMIN_CA
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.index(b"BEGIN CERTIFICATE") < first.index(b"PRIVATE KEY")


def test_server_certificate_names_the_addresses_and_the_proxy() -> None:
    ca = new_admin_ca(NOW)
    tls = issue_admin_server(ca, ("10.0.0.8", "web.example", "fd00::1"), "default.web-1", NOW)
    leaf = x509.load_pem_x509_certificate(tls.chain_pem)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["10.0.0.8", "fd00::1"]
    assert names.get_values_for_type(x509.DNSName) == ["web.example"]
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [admin_identity("default.web-1")] == ["kuma-admin://default.web-1"]
    assert tls.client == "kuma-cp"
    assert ca.startswith(tls.ca_pem)
    assert b"PRIVATE" not in tls.ca_pem


def test_client_certificate_is_the_control_planes_and_of_this_ca() -> None:
    ca, other = new_admin_ca(NOW), new_admin_ca(NOW)
    client = issue_admin_client(ca, NOW)
    leaf = x509.load_pem_x509_certificate(client.chain_pem)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kuma-cp"]
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(client.ca_pem))
    store = Store([x509.load_pem_x509_certificate(other)])
    with pytest.raises(VerificationError):
        PolicyBuilder().store(store).build_client_verifier().verify(leaf, [])


@pytest.mark.parametrize("damage", [b"", b"x", "cut", "swapped"])
def test_a_damaged_ca_says_what_to_do(damage: bytes | str) -> None:
    ca, other = new_admin_ca(NOW), new_admin_ca(NOW)
    if damage == "cut":
        damage = ca[: len(ca) - 40]
    elif damage == "swapped":
        damage = ca.partition(b"-----BEGIN PRIV")[0] + other[other.index(b"-----BEGIN PRIV") :]
    assert isinstance(damage, bytes)
    with pytest.raises(ValueError, match="admin access"):
        issue_admin_client(damage, NOW)
