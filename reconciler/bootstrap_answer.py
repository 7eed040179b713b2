"""The zone's answer to a bootstrap request: the checks in Kuma's order, then the document. Pure.

Codes matter to who asks (facts/dataplane-wire.md 1.2): 404 with an empty body is tried again, any
other 4xx ends the proxy's start with its text. The token's signature is looked at on the ADS
stream, where the keys' state is current.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model.resource import MeshResource, ResourceKey
from reconciler.model.spec import DataplaneSpec
from reconciler.registration import NotAdmitted, document_of, from_document
from xds.bootstrap import ADMIN_PORT, BootstrapInput, bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.state import MeshState

CLUSTERS = {"ZoneIngress": "ingress", "ZoneEgress": "egress"}
TYPES = {
    "": "Dataplane",
    "dataplane": "Dataplane",
    "ingress": "ZoneIngress",
    "egress": "ZoneEgress",
}


@dataclass(frozen=True, slots=True)
class ZoneFacts:
    """What the answer says of the zone's own servers."""

    zone: str
    hosts: tuple[str, ...]  # SANs of the server certificate
    ads_port: int
    ca_pem: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


def bootstrap_answer(
    facts: ZoneFacts, state: MeshState, request: Mapping[str, object], host: str, accept: str
) -> Answer:
    if not request.get("dataplaneToken"):
        return Answer(422, "dataplaneToken: a token is required; issue one with `reconciler token`")
    if host not in facts.hosts:
        return Answer(400, f"host {host!r} is not one of this server's: {', '.join(facts.hosts)}")
    resource = _resource(facts, state, request)
    if isinstance(resource, Answer):
        return resource
    mesh = resource.key.mesh
    if mesh and state.get(ResourceKey("Mesh", "", mesh)) is None:
        return Answer(422, f'mesh: mesh "{mesh}" does not exist')
    text = bootstrap(_input(facts, request, resource, host))
    if accept != "application/json":
        return Answer(200, text, "text/x-yaml")
    networking = {"corefileTemplate": None}
    if isinstance(resource.spec, DataplaneSpec):
        networking["address"] = resource.spec.address  # type: ignore[assignment]
    document = {
        "bootstrap": base64.b64encode(text.encode()).decode(),
        "kumaSidecarConfiguration": {"networking": networking, "metrics": {"aggregate": []}},
    }
    return Answer(200, json.dumps(document), "application/json")


def _resource(
    facts: ZoneFacts, state: MeshState, request: Mapping[str, object]
) -> MeshResource | Answer:
    """The resource in the request, else the registered one of that name."""
    wanted = TYPES.get(str(request.get("proxyType") or ""))
    if wanted is None:
        return Answer(422, f"proxyType: must be one of {', '.join(filter(None, TYPES))}")
    text = request.get("dataplaneResource")
    if not text:
        key = ResourceKey(wanted, str(request.get("mesh") or ""), str(request.get("name") or ""))
        return state.get(key) or Answer(404)
    data = document_of(str(text))
    if isinstance(data, NotAdmitted):
        return Answer(422, f"dataplaneResource: {data.reason}")
    if data.get("type") != wanted:
        return Answer(422, f"dataplaneResource: must be a {wanted}, as proxyType says")
    found = from_document(data, facts.zone)
    return Answer(422, found.reason) if isinstance(found, NotAdmitted) else found


def _input(
    facts: ZoneFacts, request: Mapping[str, object], resource: MeshResource, host: str
) -> BootstrapInput:
    features = request.get("features")
    metadata = {
        key: value
        for key, value in (
            ("version", request.get("version")),
            ("dynamicMetadata", request.get("dynamicMetadata")),
            ("transparentProxy", request.get("dataplaneConfig")),
            ("otelEnvInventory", request.get("otelEnv")),
        )
        if value
    }
    return BootstrapInput(
        mesh=resource.key.mesh,
        name=resource.key.name,
        cluster=CLUSTERS.get(resource.key.type) or _service(resource),
        xds_host=host,
        xds_port=facts.ads_port,
        ca_pem=str(request.get("caCert") or "") or facts.ca_pem,
        token=str(request.get("dataplaneToken") or ""),
        proxy_type=str(request.get("proxyType") or "") or "dataplane",
        resource_json=str(request.get("dataplaneResource") or ""),
        workdir=str(request.get("workdir") or ""),
        admin_port=getattr(resource.spec, "admin_port", 0) or ADMIN_PORT,
        dns_port=_number(request.get("dnsPort")),
        readiness_port=_number(request.get("readinessPort")),
        app_probe_proxy=request.get("appProbeProxyDisabled") is True,  # The name is inverted.
        ipv6=request.get("ipv6Enabled") is True,
        features=tuple(map(str, features)) if isinstance(features, list) else (),
        system_ca_path=str(request.get("systemCaPath") or ""),
        metadata=metadata,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _service(resource: MeshResource) -> str:
    spec = resource.spec
    services = sorted(i.service for i in spec.inbounds) if isinstance(spec, DataplaneSpec) else []
    return services[0] if services else ""
