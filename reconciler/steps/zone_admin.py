"""Certificates of proxies' admin listeners: asked for before a proxy's first configuration, so that
it comes with its admin listener, and again when its addresses are others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.admin import admin_hosts
from reconciler.steps import zone_build
from reconciler.steps.zone_state import IssueAdminCertificate, Note

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from reconciler.steps.zone_state import AdminCertificate, Effects, Outcome, Proxy, ZoneState
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


def traits(proxy: Proxy) -> ProxyTraits:
    return replace(proxy.traits, admin_tls=proxy.admin.tls) if proxy.admin else proxy.traits


def certified(state: ZoneState, node: str, given: AdminCertificate, message: str) -> Outcome:
    """Without one the proxy is served all the same: its admin listener has `/ready` alone."""
    proxy = state.proxies.get(node)
    if proxy is None:
        return state, ()
    proxy = replace(proxy, admin=given, admin_asked=None)
    state = replace(state, proxies=state.proxies.insert(node, proxy))
    state, effects = zone_build.mark_dirty(state, (node,) if proxy.stream is not None else ())
    note = Note("admin.certificate_failed", {"proxy": node, "message": message})
    return state, (*effects, note) if message else effects
