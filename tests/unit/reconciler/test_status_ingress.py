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


def test_a_tag_that_names_another_zone_is_refused() -> None:
    text = INGRESS.format(zone="west")
    (honest,) = from_status("west", text.encode())
    assert json.loads(honest.body)["zone"] == "west"
    claiming = text.replace("kuma.io/zone: west", "kuma.io/zone: east")
    with pytest.raises(StatusUnreadable, match='claims zone "east"'):
        list(from_status("west", claiming.encode()))


def test_an_ingress_of_another_zone_is_refused() -> None:
    with pytest.raises(StatusUnreadable, match='claims zone "east"'):
        list(from_status("west", INGRESS.format(zone="east").encode()))


@pytest.mark.parametrize(
    "body", ["name: a\navailableServices: 3\n", "name: a\nnetworking: {port: 99999999999}\n"]
)
def test_what_no_message_can_hold_is_unreadable(body: str) -> None:
    with pytest.raises(StatusUnreadable, match="a: "):
        list(from_status("west", f"type: ZoneIngress\n{body}".encode()))
