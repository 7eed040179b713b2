"""The repository that benches measure has nothing wrong with it: else they measure refusals."""

from __future__ import annotations

from reconciler.load import Blob, LoadMemo, load
from tests.bench import policies


def test_the_policies_of_the_benches_are_clean() -> None:
    count = 2 * len(policies.KINDS)
    blobs = {policies.path(n): Blob("", policies.policy(n).encode()) for n in range(count)}
    settings = {"reconciler.yaml": Blob("", b"strict: true\n")}
    found = load(blobs | settings | {"m.yaml": Blob("", policies.MESH.encode())}, LoadMemo())
    assert found.problems == ()
    assert len({resource.key.type for resource in found.resources}) == len(policies.KINDS) + 1
