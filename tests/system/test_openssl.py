"""Certificates that others made or read, judged by openssl: a Debian package, and kin of Envoy's
library.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from reconciler.ca.authority import AuthorityPem, issue_workload, new_rsa_key_pem
from reconciler.ca.reading import ca_certificates
from reconciler.ca.server_tls import new_server_tls

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system
NOW = 1_800_000_000.0
URIS = ("spiffe://default/web",)
KEY = new_rsa_key_pem()
KEY_ID = "0102030405060708090a0b0c0d0e0f1011121314"


def peer_ca(folder: Path, *, subject: str, key_id: str, string_mask: str) -> AuthorityPem:
    """A CA with serial 0, a key id of its own making and strings in its own encoding."""
    key, cert, conf = folder / "ca.key", folder / "ca.pem", folder / "ca.cnf"
    key.write_bytes(KEY)
    conf.write_text(
        f"[req]\ndistinguished_name=name\nx509_extensions=ca\nstring_mask={string_mask}\n"
        "[name]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
        f"subjectKeyIdentifier={key_id}\nsubjectAltName=URI:spiffe://default\n"
    )
    subprocess.run(
        ["openssl", "req", "-x509", "-new", "-key", key, "-config", conf, "-subj", subject,
         "-set_serial", "0", "-days", "3650", "-out", cert],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return AuthorityPem(cert.read_bytes(), KEY)


def openssl_says(folder: Path, ca_pem: bytes, leaf_pem: bytes) -> str:
    (folder / "trusted.pem").write_bytes(ca_pem)
    (folder / "leaf.pem").write_bytes(leaf_pem)
    done = subprocess.run(
        ["openssl", "verify", "-no_check_time", "-CAfile", folder / "trusted.pem",
         folder / "leaf.pem"],
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip
    return (done.stdout + done.stderr).strip().rpartition(": ")[2]


@pytest.mark.parametrize("key_id", [KEY_ID, "hash"])
@pytest.mark.parametrize("string_mask", ["utf8only", "default"])
@pytest.mark.parametrize(
    "subject", ["/O=Kuma/OU=Mesh/CN=default", "/C=CH/O=Other/CN=an authority of somebody else"]
)
def test_whatever_a_ca_calls_itself_its_leaves_verify(
    tmp_path: Path, subject: str, key_id: str, string_mask: str
) -> None:
    """Kuma built with a newer Go derives the key id otherwise than an older one, and than we do."""
    ca = peer_ca(tmp_path, subject=subject, key_id=key_id, string_mask=string_mask)
    issued = issue_workload("default", ca, URIS, NOW, 3600)
    assert openssl_says(tmp_path, ca.cert_pem, issued.chain_pem) == "OK"


def test_issuer_is_the_cas_subject_byte_for_byte(tmp_path: Path) -> None:
    """Verifiers written in Go compare the encoded names."""
    ca = peer_ca(
        tmp_path, subject="/O=Kuma/OU=Mesh/CN=default", key_id="hash", string_mask="default"
    )
    der = ca_certificates(ca.cert_pem)[0].subject.public_bytes()
    assert b"\x13\x07default" in der  # PrintableString, as Go writes it
    issued = issue_workload("default", ca, URIS, NOW, 3600)
    assert ca_certificates(issued.chain_pem)[0].issuer.public_bytes() == der


def test_server_certificate_passes_strict_verification(tmp_path: Path) -> None:
    """Python verifies strictly from 3.13 on: the CA must say that it signs certificates."""
    made = new_server_tls("zone east", ("localhost", "127.0.0.1", "::1", "east.example"), NOW)
    (tmp_path / "ca.pem").write_bytes(made.ca_pem)
    (tmp_path / "leaf.pem").write_bytes(made.cert_pem)
    for check in (["-verify_hostname", "east.example"], ["-verify_ip", "::1"]):
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-no_check_time",
             *check, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem"],
            check=False,
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
