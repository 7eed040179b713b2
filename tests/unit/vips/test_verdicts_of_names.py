"""Names, addresses and outbounds as Kuma 2.14.3's allocator answered for the same Dataplanes,
ingresses, ExternalServices and VirtualOutbounds: tests/verdicts/names.jsonl, one case a line.

Its own functions were run over made-up meshes, in which no two claim one port. Names are compared
without a dot at their end; here they are given in lower case as well.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.model.resource import SERVICE
from reconciler.model.spec import AvailableService, ExternalServiceSpec, TagDestination
from reconciler.vips.allocation import Allocations, Pools
from reconciler.vips.resolvable import Resolvable
from tests.support.mesh import a_dataplane, an_external, an_inbound, an_ingress
from tests.support.names import a_virtual_outbound, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.resource import MeshResource

CASES = (Path(__file__).parents[2] / "verdicts" / "names.jsonl").read_text().splitlines()


def mesh_of(given: Mapping[str, Any]) -> Iterator[MeshResource]:
    for vo in given["vos"]:
        called = [{k[0].lower() + k[1:]: v for k, v in each.items()} for each in vo["Params"]]
        yield a_virtual_outbound(
            vo["Name"], vo["Host"], vo["Port"], *vo["Selectors"], parameters=called
        )
    for number, tagged in enumerate(given["dps"]):
        inbounds = (
            an_inbound(tags[SERVICE], port=1000 + at, tags=tags) for at, tags in enumerate(tagged)
        )
        yield a_dataplane(f"d{number}", *inbounds)
    offered = (tuple(sorted(tags.items())) for tags in given["remote"])
    yield an_ingress("west", *(AvailableService("default", tags, 1) for tags in offered))
    for each in given["es"]:
        host = f"[{each['Host']}]" if ":" in each["Host"] else each["Host"]
        found = an_external(each["Name"], f"{host}:{each['Port']}", service=each["Service"])
        assert isinstance(found.spec, ExternalServiceSpec)
        yield replace(found, spec=replace(found.spec, named=not each["Disabled"]))


@pytest.mark.parametrize("line", CASES, ids=range(len(CASES)))
def test_names_and_addresses_are_those_that_kuma_gives(line: str) -> None:
    case = json.loads(line)
    found = wanted(*mesh_of(case["given"]))
    held, _ = Allocations().followed("default", found.entries, 0.0, Pools())
    told = Resolvable().followed(found.holders, held.of("default"), found.holders)
    written = {name.rstrip("."): address for name, address in case["names"].items()}
    expected = {name.lower(): address for name, address in written.items()} | written
    assert {name: at[0] for name, at in told.domains} == expected
    outbounds = [
        [each.address, each.port, dict(each.destination.tags)]
        for each in told.outbounds
        if isinstance(each.destination, TagDestination)
    ]
    assert outbounds == case["outbounds"]
