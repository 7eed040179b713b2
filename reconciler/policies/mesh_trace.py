"""MeshTrace: which requests proxies trace, and where the spans go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import Part, exactly_one, not_empty, percentage, required
from reconciler.policies.document import check_sections
from reconciler.policies.otel_backend import collector
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, PolicyRules
from reconciler.urls import is_http_host_and_port, is_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

_MEMBERS = {"Zipkin": "zipkin", "Datadog": "datadog", "OpenTelemetry": "openTelemetry"}


def check(spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    default = Part(spec, (), at)["default"]
    backends = default["backends"]
    yield from required(backends, "write a list with one; an empty one turns tracing off")
    for backend in backends.items():
        yield from _backend(backend)
    for tag in default["tags"].items():
        yield from not_empty(tag["name"], "write what the tag is called in a span")
        yield from exactly_one(tag, "header", "literal")
    for name in ("client", "random", "overall"):
        yield from percentage(default["sampling"][name])


def _backend(backend: Part) -> Faults:
    type_ = backend["type"].text
    if type_ not in _MEMBERS:
        return  # The schema has said so.
    member = backend[_MEMBERS[type_]]
    yield from required(member, f"a backend of type {type_} has it")
    if not member:
        return
    url = member["url"]
    match member.name:
        case "datadog":
            if not is_http_host_and_port(url.text):
                text = "url must be http, host and port and no more; write it like http://dd:8126"
                yield url.fault("VAL010", text)
        case "zipkin":
            if not is_url(url.text):
                text = "url must be a URL; write it like http://jaeger:9411/api/v2/spans"
                yield url.fault("VAL010", text)
        case _:
            yield from collector(member)


POLICY = PolicyRules(
    kind="MeshTrace",
    slug="mesh_trace",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    system_kinds=(GATEWAY,),
    gateway_tags=False,
)
