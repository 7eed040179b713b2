"""The admin interfaces of the zone's proxies: where each is reached, and the certificates of their
listeners. Those are asked for before a proxy's first configuration, so that
it comes with its admin listener, and again when its addresses are others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.admin import admin_hosts, admin_target
from reconciler.kds.admin import TYPES
from reconciler.model.resource import ResourceKey
from reconciler.registration import node_id
from reconciler.steps import zone_build
from reconciler.steps.zone_state import IssueAdminCertificate, Note
from xds.copying import replace

if TYPE_CHECKING:
    from reconciler.admin import AdminTarget
    from reconciler.kds.admin import Question
    from reconciler.model.resource import MeshResource
    from reconciler.steps.proxy_state import AdminCertificate, Proxy
    from reconciler.steps.zone_state import Effects, Outcome, ZoneState
    from reconciler.view import ProxyTraits


def certificate(state: ZoneState, proxy: Proxy, resource: MeshResource) -> tuple[Proxy, Effects]:
    """The request for one where there is a listener and none for these addresses."""
    if not state.settings.admin_access or not proxy.traits.admin_port:
        return proxy, ()
    hosts = admin_hosts(resource.spec, state.resolved)
    known = proxy.admin.hosts if proxy.admin is not None else None
    if not hosts or hosts in (known, proxy.admin_asked):
        return proxy, ()
    asked = replace(proxy, admin_asked=hosts)
    return asked, (IssueAdminCertificate(proxy.node_id, hosts),)


def awaits(proxy: Proxy) -> bool:
    """Its first one is being made, which takes less than a millisecond."""
    return proxy.admin is None and proxy.admin_asked is not None


def traits_of(said: ProxyTraits, earlier: Proxy | None) -> ProxyTraits:
    """Of a proxy's new stream, with the certificate that was made for its last one; the same object
    when they are the same.
    """
    if earlier is None:
        return said
    found = replace(said, admin_tls=earlier.admin.tls) if earlier.admin is not None else said
    return earlier.traits if earlier.traits == found else found


def certified(state: ZoneState, node: str, given: AdminCertificate, message: str) -> Outcome:
    """Without one the proxy is served all the same: its admin listener has `/ready` alone."""
    proxy = state.proxies.get(node)
    if proxy is None:
        return state, ()
    traits = replace(proxy.traits, admin_tls=given.tls)
    proxy = replace(proxy, admin=given, admin_asked=None, traits=traits)
    state = replace(state, proxies=state.proxies.insert(node, proxy))
    state, effects = zone_build.mark_dirty(state, (node,) if proxy.stream is not None else ())
    note = Note("admin.certificate_failed", {"proxy": node, "message": message})
    return state, (*effects, note) if message else effects


def target(state: ZoneState, question: Question) -> AdminTarget | str:
    """Where to ask, or why there is nowhere; in Kuma's words where it has some."""
    if question.type not in TYPES:
        return f'invalid resource type "{question.type}"'
    mesh = question.mesh if question.type == "Dataplane" else ""
    resource = state.local.get(ResourceKey(question.type, mesh, question.name))
    if resource is None:
        where = f'name="{question.name}" mesh="{question.mesh}"'
        return f'resource not found: type="{question.type}" {where}'
    proxy = state.proxies.get(node_id(mesh, question.name))
    if proxy is None or not proxy.connected_at:
        return f'"{question.name}" has not connected since this zone control plane started'
    address = str(getattr(resource.spec, "address", ""))
    return admin_target(proxy.traits, resource.spec, state.resolved.get(address, address))
