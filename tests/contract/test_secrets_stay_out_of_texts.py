"""What speaks of a key, token or password in a field's name is in no text that Python makes of the
object: an exception or a log of asyncio would show it.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import TYPE_CHECKING

import reconciler
import xds

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("key_pem", "token", "authorization", "password", "ssh_key", "environment")
TRUTHS = ("has_", "reloadable_")
MORE = {
    "CarriedResource.body",
    "MeshResource.body",
    "MeshResource.spec",
    "Resolved.values",
    "SecretValues._key",
    "XdsResource.entry",
}


def fields() -> Iterator[tuple[str, str, bool]]:
    """Class, field, and whether it is shown."""
    for package in (reconciler, xds):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith(("__main__", "remote_child")):
                continue
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                if getattr(value, "__module__", "").split(".")[0] not in ("reconciler", "xds"):
                    continue  # Messages of a library.
                if isinstance(value, type) and dataclasses.is_dataclass(value):
                    for each in dataclasses.fields(value):
                        yield value.__name__, each.name, each.repr


def test_no_object_shows_its_secrets() -> None:
    secret = {
        f"{owner}.{name}": shown
        for owner, name, shown in fields()
        if (name.endswith(NAMES) and not name.startswith(TRUTHS)) or f"{owner}.{name}" in MORE
    }
    assert secret.keys() >= {"Join.token", "IssueCertificate.ca_key_pem", "Address.token", *MORE}
    assert [name for name, shown in secret.items() if shown] == []
