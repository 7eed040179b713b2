"""MeshMetric: which metrics proxies and applications offer, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import Part, duration, port, required
from reconciler.policies.document import check_sections
from reconciler.policies.otel_backend import collector
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, PolicyRules
from reconciler.policies.re2 import faults
from reconciler.urls import host_and_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults
    from reconciler.problems import Path


def check(spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    default = Part(spec, (), at)["default"]
    profiles = default["sidecar"]["profiles"]
    for name in ("exclude", "include"):
        for selector in profiles[name].items():
            if selector["type"].text == "Regex":
                for fault in faults(selector["match"].text, go=True):
                    yield selector["match"].fault("VAL010", fault)
    for index, application in enumerate(default["applications"].items()):
        # Kuma's API names the entry, not its port, and both lists in the singular.
        named = ("default", "applications", "application", index)
        yield from port(application["port"].called(named))
    for index, backend in enumerate(default["backends"].items()):
        yield from _backend(backend, ("default", "backends", "backend", index))


def _backend(backend: Part, named: Path) -> Faults:
    match backend["type"].text:
        case "Prometheus":
            prometheus = backend["prometheus"]
            cure = "write {} for the port 5670 and the path /metrics"
            yield from required(prometheus.called((*named, "prometheus")), cure)
            yield from port(prometheus["port"].called((*named, "port")))
        case "OpenTelemetry":
            yield from _collector(backend["openTelemetry"].called((*named, "openTelemetry")))
        case _:
            pass  # The schema has said so.


def _collector(part: Part) -> Faults:
    yield from required(part, "write endpoint or backendRef in it")
    if not part:
        return
    found = tuple(collector(part))
    yield from found
    endpoint = part["endpoint"]
    if not found and endpoint.text and host_and_port(endpoint.text) is None:
        text = "endpoint must have a port; write it like otel-collector:4317"
        yield endpoint.fault("VAL010", text)
    yield from duration(part["refreshInterval"])


POLICY = PolicyRules(
    kind="MeshMetric",
    slug="mesh_metric",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    system_kinds=(GATEWAY,),
)
