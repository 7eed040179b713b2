"""What the golden cases of policies come to, real Envoy takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Listener

from tests.e2e.test_envoy_accepts import bootstrap, validate
from tests.policies.test_goldens import CASES, computed
from xds.wire import entry_body

if TYPE_CHECKING:
    from pathlib import Path

    from xds.resource import XdsResource

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
SLUGS = sorted({case.parent.name for case in CASES})


def _body(made: XdsResource) -> bytes:
    return entry_body(made.entry)[1]


@pytest.mark.parametrize("slug", SLUGS)
def test_envoy_accepts_what_policies_come_to(slug: str, tmp_path: Path) -> None:
    cases = [c for c in CASES if c.parent.name == slug and (c / "expected.yaml").exists()]
    assert cases
    config = bootstrap()
    static = config.static_resources
    assert static is not None
    taken: set[str] = set()
    for number, case in enumerate(cases):
        snapshot = computed((case / "input.yaml").read_text())
        for made in snapshot.clusters.values():
            cluster = Cluster().parse(_body(made))
            cluster.name = f"{case.name} {cluster.name}"
            static.clusters.append(cluster)
        for made in snapshot.listeners.values():
            listener = Listener().parse(_body(made))
            listener.name = f"{case.name} {listener.name}"
            assert listener.address is not None
            assert listener.address.socket_address is not None
            listener.address.socket_address.port_value = 20_000 + 100 * number + len(taken)
            taken.add(listener.name)
            static.listeners.append(listener)
    assert taken
    assert validate(config, tmp_path) == ""
