"""Host names in what proxies and other zones say: a new one is looked up at once."""

from __future__ import annotations

from typing import Any

from reconciler.steps import zone_state as z
from tests.support.zone import INGRESS, Zone, dataplane, zone


def at(host: str) -> dict[str, Any]:
    document = dataplane("web", "web")
    return {**document, "networking": {**document["networking"], "address": host}}


def is_asked(made: Zone, document: dict[str, Any]) -> bool:
    made.connect(document, listeners=False)
    return any(isinstance(effect, z.LookUp) for effect in made.effects)


def test_proxy_at_a_new_name_has_it_looked_up() -> None:
    assert is_asked(zone(), at("web.example"))
    ingress: dict[str, Any] = INGRESS
    networking = {**ingress["networking"], "address": "ingress.example"}
    assert is_asked(zone(), {**ingress, "networking": networking})


def test_an_address_and_a_known_name_ask_nobody() -> None:
    assert not is_asked(zone(), at("192.0.2.7"))
    made = zone()
    made.deliver(z.Resolved({"web.example": "192.0.2.7"}, made.now))
    assert not is_asked(made, at("web.example"))
