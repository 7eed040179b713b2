"""`reconciler.yaml`: what it may say, and where a mistake in it is shown."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from reconciler.load import Blob, LoadMemo, load
from reconciler.repository_settings import RepositorySettings, Tokenless, decode_settings


def found(text: str) -> tuple[RepositorySettings, list[str]]:
    loaded = load({"reconciler.yaml": Blob("", text.encode())}, LoadMemo())
    return loaded.settings, [str(problem) for problem in loaded.problems]


def test_everything_that_can_be_said() -> None:
    settings, problems = found(
        """
strict: true
allowZonePolicies:
  - {zone: east, types: [MeshTimeout, MeshRetry]}
  - {zone: west, types: [MeshTimeout]}
kds:
  tokenless:
    - {zone: kuma-1, from: 10.1.0.0/16}
    - {zone: kuma-1, from: 2001:db8::7}
"""
    )
    assert problems == []
    assert settings == RepositorySettings(
        strict=True,
        zone_policies=frozenset(
            {("east", "MeshTimeout"), ("east", "MeshRetry"), ("west", "MeshTimeout")}
        ),
        tokenless=(
            Tokenless("kuma-1", ip_network("10.1.0.0/16")),
            Tokenless("kuma-1", ip_network("2001:db8::7")),
        ),
    )


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("allowZonePolicies: [{zone: east, types: [Mesh]}]", "1:42", "SCH"),
        ("allowZonePolicies: [{zone: east}]", "1:21", "SCH"),
        ("allowZonePolicies: {zone: east}", "1:20", "SCH"),
        ("kds: {tokenless: [{zone: a, from: 10.1.0.7/16}]}", "1:35", "SET001"),
        ("kds: {tokenless: [{zone: a, from: anywhere}]}", "1:35", "SET001"),
        ("kds: {tokenless: [{zone: a}]}", "1:19", "SCH"),
        ("kds: {tokenless: 3}", "1:18", "SCH"),
        ("kds: 3", "1:6", "SCH"),
        ("kds: {token: []}", "1:7", "SCH"),
    ],
)
def test_mistake_is_shown_where_it_stands(text: str, place: str, code: str) -> None:
    (problem,) = found(text)[1]
    assert problem.startswith(f"reconciler.yaml:{place}: {code}")


def test_what_was_refused_opens_nothing() -> None:
    settings = decode_settings(
        {
            "allowZonePolicies": [3, {"zone": "east", "types": "MeshTimeout"}],
            "kds": {"tokenless": [{"zone": "a", "from": 3}, {"zone": "b", "from": "x"}]},
        }
    )
    assert settings == RepositorySettings()
