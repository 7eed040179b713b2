"""The two places that are tested here: a global of ours that zones of Kuma dial, and a zone of ours
that dials a global of Kuma and serves proxies of kuma-dp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.repository_settings import decode_settings
from tests.support.global_link import GlobalLink, global_link
from tests.support.joined import Joined, MtlsMesh, joined_zone, mtls_mesh
from tests.support.kuma_seeds import seeded, timeout_named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[GlobalLink]:
    """A global that lets these zones in without a token, as a Kuma zone comes."""
    listed = [{"zone": zone, "from": "127.0.0.0/8"} for zone in ("kuma-1", "kuma-2", "east")]
    async with global_link(tmp_path) as made:
        made.settings = decode_settings({"kds": {"tokenless": listed}})
        made.publish(*seeded(), timeout_named("t", 1000))
        yield made


@pytest.fixture
async def joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Joined]:
    async with joined_zone(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
async def mesh(joined: Joined) -> AsyncIterator[MtlsMesh]:
    async with mtls_mesh(joined) as made:
        yield made
