"""What Kuma's schemas say for fields that a document leaves out. Pure.

Kuma fills them in where a document comes in, stores and sends them, and fills in nothing that
arrives over KDS (facts/kds-wire.md 2.2): a zone would open the Prometheus listener of a MeshMetric
that names no port on port 0. So what comes from Git is filled in as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

ITEMS = "[]"
_Tree: TypeAlias = "Mapping[str, _Tree | _Leaf]"

_LOGS = {
    "file.format.omitEmptyValues": False,
    "tcp.format.omitEmptyValues": False,
    "openTelemetry.endpoint": "",
}
_TLS_VERSIONS = {"tlsVersion.min": "TLSAuto", "tlsVersion.max": "TLSAuto"}
_HEADERS = {
    "http.hostSelection[].updateFrequency": 2,
    "http.retriableRequestHeaders[].type": "Exact",
    "http.retriableResponseHeaders[].type": "Exact",
}


def _under(sections: tuple[str, ...], fields: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for section in sections:
        yield from ((f"{section}.{path}", value) for path, value in fields.items())


# By kind: path in the spec, and value. A default is set where the object around it is.
FIELDS: Mapping[str, Mapping[str, object]] = {
    "MeshAccessLog": dict(
        _under(tuple(f"{each}[].default.backends[]" for each in ("to", "from", "rules")), _LOGS)
    ),
    "MeshExternalService": {
        "match.type": "HostnameGenerator",
        "match.protocol": "tcp",
        "tls.enabled": False,
        "tls.allowRenegotiation": False,
        "tls.version.min": "TLSAuto",
        "tls.version.max": "TLSAuto",
        "tls.verification.mode": "Secured",
        "tls.verification.subjectAltNames[].type": "Exact",
    },
    "MeshHTTPRoute": {
        "to[].rules[].default.backendRefs[].weight": 1,
        "to[].rules[].default.filters[].requestMirror.backendRef.weight": 1,
        "to[].rules[].default.filters[].requestRedirect.statusCode": 302,
        "to[].rules[].matches[].headers[].type": "Exact",
    },
    "MeshMetric": {
        "default.applications[].path": "/metrics",
        "default.backends[].openTelemetry.endpoint": "",
        "default.backends[].prometheus.path": "/metrics",
        "default.backends[].prometheus.port": 5670,
        "default.backends[].prometheus.tls.mode": "Disabled",
    },
    "MeshMultiZoneService": {"ports[].appProtocol": "tcp"},
    "MeshOpenTelemetryBackend": {"env.mode": "Optional", "env.precedence": "EnvFirst"},
    "MeshPassthrough": {"default.appendMatch[].protocol": "tcp"},
    "MeshRetry": dict(_under(("to[].default",), _HEADERS)),
    "MeshService": {"ports[].appProtocol": "tcp", "state": "Unavailable"},
    "MeshTCPRoute": {"to[].rules[].default.backendRefs[].weight": 1},
    "MeshTLS": dict(_under(("from[].default", "rules[].default"), _TLS_VERSIONS)),
    "MeshTrace": {
        "default.backends[].datadog.splitService": False,
        "default.backends[].openTelemetry.endpoint": "",
        "default.backends[].zipkin.apiVersion": "httpJson",
        "default.backends[].zipkin.sharedSpanContext": True,
        "default.backends[].zipkin.traceId128bit": False,
    },
}


class _Leaf:
    """A field that may be left out."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def _tree(fields: Mapping[str, object]) -> _Tree:
    root: dict[str, object] = {}
    for path, value in fields.items():
        *way, name = path.replace(ITEMS, f".{ITEMS}").split(".")
        at = root
        for step in way:
            at = cast("dict[str, object]", at.setdefault(step, {}))
        at[name] = _Leaf(value)
    return cast("_Tree", root)


_TREES = {kind: _tree(fields) for kind, fields in FIELDS.items()}


def filled(type_: str, spec: Mapping[str, object]) -> Mapping[str, object]:
    """The spec with what it leaves out; the same object where there is nothing to leave out."""
    tree = _TREES.get(type_)
    return spec if tree is None else cast("Mapping[str, object]", _filled(spec, tree))


def _filled(value: object, tree: _Tree) -> object:
    if isinstance(value, list):
        items = tree.get(ITEMS)
        return value if not isinstance(items, Mapping) else [_filled(v, items) for v in value]
    if not isinstance(value, Mapping):
        return value
    found = dict(value)
    for name, inner in tree.items():
        if isinstance(inner, _Leaf):
            if found.get(name) is None:  # null is left out
                found[name] = inner.value
        elif name in found:
            found[name] = _filled(found[name], inner)
    return found
