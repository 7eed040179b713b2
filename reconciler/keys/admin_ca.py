"""The zone's CA of admin access: made once, kept in the zone's own secret store, sent to nobody."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.ca.admin import ADMIN_CA, new_admin_ca
from reconciler.keys.secret_store import SecretExists

if TYPE_CHECKING:
    from reconciler.keys.secret_store import SecretStore


def admin_ca(store: SecretStore, now: float) -> bytes:
    found = store.get(ADMIN_CA)
    if found is None:
        with suppress(SecretExists):  # Made by another process at this very moment: it counts.
            store.put(ADMIN_CA, new_admin_ca(now))
        found = store.get(ADMIN_CA)
    assert found is not None
    return found
