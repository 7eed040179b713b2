"""A proxy's admin interface as parts of its view: who reaches what of it, and where. Pure. See
facts/dataplane-wire.md 6.

Envoy's own admin interface is on a unix socket or on loopback. `kuma:envoy:admin` on the proxy's
address leads there: `/ready` for all, the rest for the zone's control plane alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model.proxy_rules import is_ip
from reconciler.model.spec import DataplaneSpec, ZoneIngressSpec
from xds.names import ADMIN_CLUSTER, ADMIN_LISTENER, READINESS_CLUSTER
from xds.view import AdminListener, HostCluster, PipeCluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.spec import Spec
    from reconciler.view import ProxyTraits
    from xds.view import ClusterInput

LOOPBACK, LOOPBACK6 = "127.0.0.1", "::1"
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
# A proxy says of itself where its admin interface is. Any other address, and the listener would
# lead whoever may use it to some other host.
ADMIN_ADDRESSES = ("", LOOPBACK, LOOPBACK6, *WILDCARDS)


def admin_clusters(traits: ProxyTraits, address: str | None) -> tuple[ClusterInput, ...]:
    """Where admin and readiness are, on the proxy's own host. `address` is the proxy's: kuma-dp
    reports readiness on the loopback of its family.
    """
    found: list[ClusterInput] = []
    if traits.admin_pipe is not None:
        found.append(PipeCluster(ADMIN_CLUSTER, traits.admin_pipe))
    elif traits.admin_port:
        found.append(HostCluster(ADMIN_CLUSTER, _loopback(traits.admin_address), traits.admin_port))
    if traits.readiness_port:
        loopback = _loopback(address or "")
        found.append(HostCluster(READINESS_CLUSTER, loopback, traits.readiness_port))
    return tuple(found)


def _loopback(address: str) -> str:
    return LOOPBACK6 if ":" in address else LOOPBACK


def admin_listener(traits: ProxyTraits, address: str | None) -> AdminListener | None:
    """None without a port, while the proxy's name has no address, and where Envoy's own admin
    interface listens already.
    """
    if not traits.admin_port or address is None or has_plain_admin(traits, address):
        return None
    return AdminListener(
        name=ADMIN_LISTENER,
        address=address,
        port=traits.admin_port,
        ready_cluster=READINESS_CLUSTER if traits.readiness_port else ADMIN_CLUSTER,
        admin_cluster=ADMIN_CLUSTER,
        tls=traits.admin_tls,
        reuse_port=traits.reuse_port,
    )


def has_plain_admin(traits: ProxyTraits, address: str) -> bool:
    """Envoy's admin interface itself listens on the proxy's address, with TCP and without TLS."""
    if traits.admin_pipe is not None:
        return False
    return (traits.admin_address or LOOPBACK) in (address, *WILDCARDS)


@dataclass(frozen=True, slots=True)
class AdminTarget:
    """Where a proxy's admin interface is reached. `plain`: it is Envoy's own, on loopback."""

    node_id: str
    host: str
    port: int
    plain: bool = False


def admin_target(traits: ProxyTraits, spec: Spec, address: str) -> AdminTarget | str:
    """Or why it cannot be reached. `address` is what the proxy's name resolves to."""
    host = str(getattr(spec, "address", ""))
    if not traits.admin_port or not host:
        return "the proxy has no admin port; start it with the bootstrap of this zone"
    plain = has_plain_admin(traits, address)
    if plain and address != LOOPBACK:
        return (
            f"Envoy's own admin interface takes the place of the admin listener on {address}; "
            "start the proxy with a workdir, for it to use a socket there"
        )
    return AdminTarget(traits.node_id, host, traits.admin_port, plain)


def admin_hosts(spec: Spec, resolved: Mapping[str, str]) -> tuple[str, ...]:
    """All names and addresses that the certificate of the admin listener is for."""
    given = [getattr(spec, "address", "")]
    if isinstance(spec, DataplaneSpec | ZoneIngressSpec):
        given.append(spec.advertised_address)
    found = [host for host in given if host]
    found += [resolved[host] for host in found if host in resolved and not is_ip(host)]
    return tuple(sorted(set(found)))
