"""A status ref says no more of a zone than the zone itself could over KDS."""

from __future__ import annotations

import json

import pytest

from reconciler.status.document import StatusUnreadable
from reconciler.status_ingress import from_status

INGRESS = """
type: ZoneIngress
name: zi
zone: {zone}
networking: {{address: 10.0.0.1, port: 10001}}
availableServices:
  - tags: {{kuma.io/service: backend, kuma.io/zone: {zone}}}
    instances: 1
    mesh: default
"""


def test_every_place_that_names_the_zone_says_whose_ref_it_is() -> None:
    honest, claiming = (
        list(from_status("west", INGRESS.format(zone=zone).encode())) for zone in ("west", "east")
    )
    assert honest == claiming
    data = json.loads(honest[0].body)
    assert data["zone"] == "west"
    assert data["availableServices"][0]["tags"]["kuma.io/zone"] == "west"


@pytest.mark.parametrize(
    "body", [b"name: a\navailableServices: 3\n", b"name: a\nnetworking: {port: 99999999999}\n"]
)
def test_what_no_message_can_hold_is_unreadable(body: bytes) -> None:
    with pytest.raises(StatusUnreadable, match="a: "):
        list(from_status("west", body))
