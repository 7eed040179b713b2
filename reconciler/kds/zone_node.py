"""How a zone introduces itself to the global, in the first request and in every call's headers
(facts 1.5, 1.7).
"""

from __future__ import annotations

from xds.discovery import Node

FEATURES = (
    "zone-token",
    "hash-suffix",
    "hg-mz-selector",
    "producer-policy-flow",
    "optional-top-level-target-ref",
)
KUMA_VERSION = "2.14.3"  # the dialect spoken


def zone_node(zone: str, instance: str, version: str) -> Node:
    """A real global parses `config` and wants `store.type` in it."""
    metadata = {
        "version": {"kumaCp": {"version": KUMA_VERSION, "gitTag": f"mesh-reconciler-{version}"}},
        "config": '{"mode":"zone","store":{"type":"memory"}}',
        "control-plane-id": instance,
        "features": list(FEATURES),
    }
    return Node(zone, metadata=metadata)


def call_headers(zone: str, version: str, token: str | None) -> tuple[tuple[str, str], ...]:
    """`features` twice: a real global looks for exact elements."""
    headers = (
        ("client-id", zone),
        ("features", "zone-ping-health"),
        ("features", "hash-suffix"),
        ("kds-version", "v3"),
        ("version", version),
    )
    return (*headers, ("authorization", token)) if token else headers
