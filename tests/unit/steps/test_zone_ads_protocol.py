"""What a proxy's stream must say and may not say, and the ledger of either variant."""

from __future__ import annotations

import json

import pytest

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, ResourceKey
from reconciler.steps import zone_state as z
from reconciler.steps.zone_report import report_of
from tests.support.zone import Zone, dataplane, zone
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER, ENDPOINT, LISTENER

WEB = dataplane("web-1", "web", "backend")
METADATA = {"dataplane.resource": json.dumps(WEB)}


def meshed() -> Zone:
    return zone(mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {}))


def first(made: Zone, request: DeltaRequest) -> z.CloseStream | None:
    made.deliver(z.ProxyOpened("s", "token"))
    made.deliver(z.ProxyRequest("s", request, made.now))
    return made.closing()


@pytest.mark.parametrize("wanted", [None, ()], ids=["delta", "state of the world"])
@pytest.mark.parametrize(
    ("node", "words"),
    [
        (None, "no node metadata"),
        (Node("default.web-1"), "no node metadata"),
        (Node("default.web-1", metadata={"version": {}}), "holds no dataplane.resource"),
        (Node("", metadata=METADATA), 'node id "" is not that of'),
        (Node("default.web-2", metadata=METADATA), 'node id "default.web-2" is not that of'),
    ],
)
def test_a_first_request_says_who_it_is(
    wanted: tuple[str, ...] | None, node: Node | None, words: str
) -> None:
    made = meshed()
    closing = first(made, DeltaRequest(CLUSTER, node, wanted=wanted))
    assert closing is not None
    assert closing.code == 2
    assert words in closing.message
    assert len(made.state.proxies) == 0


@pytest.mark.parametrize("wanted", [None, ()], ids=["delta", "state of the world"])
def test_another_node_on_the_same_stream_ends_it(wanted: tuple[str, ...] | None) -> None:
    made = meshed()
    assert first(made, DeltaRequest(CLUSTER, Node("default.web-1", metadata=METADATA))) is None
    other = Node("default.web-2", metadata=METADATA)
    made.deliver(z.ProxyRequest("s", DeltaRequest(CLUSTER, other, wanted=wanted), made.now))
    closing = made.closing()
    assert closing is not None
    assert closing.message == "the node id changed on one stream"


def answer(made: Zone, type_url: str, error: str | None = None) -> None:
    (newest,) = [r for r in made.sent["s"] if r.type_url == type_url][-1:]
    version = "" if error else newest.version
    request = DeltaRequest(
        type_url, wanted=wanted_of(type_url), nonce=newest.nonce, version=version, error=error
    )
    made.deliver(z.ProxyRequest("s", request, made.now))


def wanted_of(type_url: str) -> tuple[str, ...]:
    return ("backend",) if type_url == ENDPOINT else ()


@pytest.mark.parametrize("error", [None, "Error adding/updating listener(s) inbound: no"])
def test_the_ledger_knows_what_a_state_of_the_world_proxy_took(error: str | None) -> None:
    made = meshed()
    node = Node("default.web-1", metadata=METADATA)
    assert first(made, DeltaRequest(CLUSTER, node, wanted=())) is None
    made.deliver(z.ProxyRequest("s", DeltaRequest(ENDPOINT, wanted=("backend",)), made.now))
    answer(made, CLUSTER)
    answer(made, ENDPOINT)
    made.deliver(z.ProxyRequest("s", DeltaRequest(LISTENER, wanted=()), made.now))
    assert report_of(made.state).pending == 1
    answer(made, LISTENER, error)
    report = report_of(made.state)
    assert (report.acked, report.rejected) == ((0, 1) if error else (1, 0))
    if error:
        assert error in report.rejections[0].message
