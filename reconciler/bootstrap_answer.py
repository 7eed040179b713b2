"""The zone's answer to a bootstrap request: the checks in Kuma's order, then the document. Pure.

Codes matter to who asks (facts/dataplane-wire.md 1.2): 404 with an empty body is tried again, any
other 4xx ends the proxy's start with its text. The token's signature is looked at on the ADS
stream, where the keys' state is current.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.bootstrap_request import BootstrapRequest, request_of
from reconciler.ca.server_tls import ca_problem
from reconciler.membership import not_a_member
from reconciler.model.kinds import PROXY_TYPES
from reconciler.model.proxy_rules import is_ip
from reconciler.model.resource import SERVICE, MeshResource, ResourceKey, canonical_json
from reconciler.model.spec import DataplaneSpec, MeshSpec
from reconciler.registration import NotAdmitted, document_of, from_document
from xds.bootstrap import ADMIN_PORT, BootstrapInput, bootstrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.state import MeshState

CLUSTERS = {"ZoneIngress": "ingress", "ZoneEgress": "egress"}
UNIFIED_NAMES = "feature-unified-resource-naming"


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFacts:
    """What the answer says of the zone's own servers."""

    zone: str
    hosts: tuple[str, ...]  # SANs of the server certificate
    ads_port: int
    ca_pem: str
    health: bool = False  # HDS is served
    xds_host: str = ""  # where proxies find ADS; "": where they found the bootstrap
    reloadable_tokens: bool = False  # a proxy with a token file reads it anew for each stream


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"


def bootstrap_answer(
    facts: ZoneFacts, state: MeshState, data: Mapping[str, object], host: str, accept: str
) -> Answer:
    """`host` is that of the Host header, without the port."""
    host = canonical(host)
    request = request_of(data)
    if isinstance(request, NotAdmitted):
        return Answer(400, request.reason)
    if not (request.token or request.token_path):
        return Answer(422, "dataplaneToken: a token is required; issue one with `reconciler token`")
    if not (facts.xds_host or is_host_of(host, facts.hosts)):
        return Answer(400, _foreign_host(host, facts.hosts))
    resource = _resource(facts, state, request)
    if isinstance(resource, Answer):
        return resource
    problem = ca_problem(request.ca_cert or facts.ca_pem)
    if problem:
        return Answer(400, f"caCert: {problem}")
    text = bootstrap(_input(facts, state, request, resource, facts.xds_host or host))
    if accept != "application/json":
        return Answer(200, text, "text/x-yaml")
    networking: dict[str, object] = {"corefileTemplate": None}
    if isinstance(resource.spec, DataplaneSpec):
        networking["address"] = resource.spec.address
    document = {
        "bootstrap": base64.b64encode(text.encode()).decode(),
        "kumaSidecarConfiguration": {"networking": networking, "metrics": {"aggregate": []}},
    }
    return Answer(200, json.dumps(document), "application/json")


def canonical(host: str) -> str:
    """A host as certificates write it: no brackets, no dot at the end, lower case, IPv6 short."""
    host = host.removeprefix("[").removesuffix("]").removesuffix(".").lower()
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def is_host_of(host: str, names: tuple[str, ...]) -> bool:
    """Whether a certificate for these names and addresses verifies this canonical host; "*" stands
    for one label (RFC 6125).
    """
    _, _, parent = host.partition(".")
    wildcard = f"*.{parent}" if parent and not is_ip(host) else host
    return bool(host) and any(name.lower() in (host, wildcard) for name in names)


def _foreign_host(host: str, hosts: tuple[str, ...]) -> str:
    return (
        f'host "{host}" is not in the certificate of this control plane, which is for '
        f"{', '.join(hosts)}; use one of these in --zone-address (--cp-address of kuma-dp), or "
        "start the zone with --tls-host"
    )


def leaving_proxy(request: Mapping[str, object]) -> tuple[ResourceKey, str]:
    """Who says that it leaves, and its token; named as in its bootstrap request."""
    type_ = PROXY_TYPES.get(str(request.get("proxyType") or ""), "")
    key = ResourceKey(type_, str(request.get("mesh") or ""), str(request.get("name") or ""))
    return key, str(request.get("dataplaneToken") or "")


def _resource(
    facts: ZoneFacts, state: MeshState, request: BootstrapRequest
) -> MeshResource | Answer:
    """The resource in the request, else the registered one of that name; its mesh exists."""
    wanted = PROXY_TYPES.get(request.proxy_type)
    if wanted is None:
        return Answer(422, f"proxyType: must be one of {', '.join(PROXY_TYPES)}")
    if not request.resource:
        key = ResourceKey(wanted, request.mesh if wanted == "Dataplane" else "", request.name)
        return state.get(key) or Answer(404)
    data = document_of(request.resource)
    if isinstance(data, NotAdmitted):
        return Answer(422, f"dataplaneResource: {data.reason}")
    if data.get("type") != wanted:
        return Answer(422, f"dataplaneResource: must be a {wanted}, as proxyType says")
    found = from_document(data, facts.zone)
    if isinstance(found, NotAdmitted):
        return Answer(422, found.reason)
    if request.redirects and isinstance(found.spec, DataplaneSpec) and found.spec.outbounds:
        text = "outbound: should be empty since dataplane is in Transparent Proxying mode"
        return Answer(422, text)
    mesh = found.key.mesh
    its_mesh = state.get(ResourceKey("Mesh", "", mesh)) if mesh else None
    if mesh and its_mesh is None:
        return Answer(422, f'mesh: mesh "{mesh}" does not exist')
    stranger = not_a_member(its_mesh, found) if its_mesh is not None else None
    return found if stranger is None else Answer(422, stranger)


def _input(
    facts: ZoneFacts,
    state: MeshState,
    request: BootstrapRequest,
    resource: MeshResource,
    host: str,
) -> BootstrapInput:
    reloads = facts.reloadable_tokens and bool(request.token_path)
    return BootstrapInput(
        mesh=resource.key.mesh,
        name=resource.key.name,
        cluster=CLUSTERS.get(resource.key.type) or _service(resource),
        xds_host=host,
        xds_port=facts.ads_port,
        ca_pem=request.ca_cert or facts.ca_pem,
        token=request.token,
        token_path=request.token_path if reloads else "",
        proxy_type=request.proxy_type,
        resource_json=request.resource or _document(resource),
        workdir=request.workdir,
        admin_port=getattr(resource.spec, "admin_port", 0) or ADMIN_PORT,
        dns_port=request.dns_port,
        readiness_port=request.readiness_port,
        app_probe_proxy=request.app_probe_proxy,
        ipv6=request.ipv6,
        features=request.features,
        metrics_cert_path=request.metrics_cert_path,
        metrics_key_path=request.metrics_key_path,
        system_ca_path=request.system_ca_path,
        spire_socket_path=request.spire_socket_path,
        access_log_sink=bool(request.workdir),
        health=facts.health and resource.key.type == "Dataplane",
        unified_names=UNIFIED_NAMES in request.features and _is_exclusive(state, resource),
        metadata=request.metadata,
    )


def _document(resource: MeshResource) -> str:
    """A registered resource as its proxy would say it: on its ADS stream it introduces itself."""
    key = resource.key
    named = {"type": key.type, "name": key.name, **({"mesh": key.mesh} if key.mesh else {})}
    return canonical_json(
        {**json.loads(resource.body), **named, "labels": dict(resource.labels.pairs)}
    )


def _is_exclusive(state: MeshState, resource: MeshResource) -> bool:
    mesh = state.get(ResourceKey("Mesh", "", resource.key.mesh))
    spec = mesh.spec if mesh is not None else None
    return isinstance(spec, MeshSpec) and spec.mesh_services_mode == "Exclusive"


def _service(resource: MeshResource) -> str:
    spec = resource.spec
    if not isinstance(spec, DataplaneSpec):
        return ""
    tags = [pair for inbound in spec.inbounds for pair in inbound.tags] + list(spec.gateway_tags)
    return min((value for key, value in tags if key == SERVICE), default="")
