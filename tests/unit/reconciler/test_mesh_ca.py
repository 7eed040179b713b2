"""Warnings of CAs that end, long before they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.ca.keys import secret_data
from reconciler.decode import mesh_resource
from reconciler.mesh_ca import expiry_warnings
from reconciler.model.resource import Labels, ResourceKey
from reconciler.state import from_resources
from tests.support.authorities import made_ca

if TYPE_CHECKING:
    from reconciler.state import MeshState

NOW = 1_800_000_000.0
DAY = 86400.0
KEY = ec.generate_private_key(ec.SECP256R1())


def mesh_with(pem: bytes) -> MeshState:
    backend = {"name": "ca", "type": "builtin"}
    mtls = {"enabledBackend": "", "backends": [backend]}
    names = ("default.ca-builtin-cert-ca", "default.ca-builtin-key-ca")
    secrets = [ResourceKey("Secret", "default", name) for name in names]
    return from_resources(
        [
            mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {"mtls": mtls}),
            *(mesh_resource(key, Labels(), secret_data(pem)) for key in secrets),
        ]
    )


@pytest.mark.parametrize(
    ("life", "says"),
    [(31 * DAY, None), (29 * DAY, "expires on 2027-02-13"), (-DAY, "expired on 2027-01-14")],
)
def test_ca_is_told_30_days_before_its_end_also_when_it_is_not_enabled(
    life: float, says: str | None
) -> None:
    pem = made_ca(KEY, NOW - 60 * DAY, lifetime_s=60 * DAY + life)
    found = expiry_warnings(mesh_with(pem), NOW)
    assert len(found) == (says is not None)
    for text in found:
        assert text.startswith(f"mesh default: the CA of backend ca {says}")


def test_the_first_of_a_chain_to_end_counts() -> None:
    chain = made_ca(KEY, NOW, "a", issuer=("b", KEY)) + made_ca(KEY, NOW, "b", lifetime_s=DAY)
    (text,) = expiry_warnings(mesh_with(chain), NOW)
    assert "expires on 2027-01-16" in text


def test_ca_that_cannot_be_read_is_told_without_its_content() -> None:
    (text,) = expiry_warnings(mesh_with(b"hunter2"), NOW)
    assert text == (
        "mesh default: the CA of backend ca cannot be read: "
        "the CA certificate is not a PEM certificate"
    )
