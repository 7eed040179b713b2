"""The DNS listener: Envoy's own filter, with a table of names inline.

A mesh has thousands of names and most of its proxies know the same: a record is put together from
bytes, not from messages. The bytes are those of the whole message, encoded.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    DnsResolverOptions,
    SocketAddress,
    SocketAddressProtocol,
    TrafficDirection,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import AdditionalAddress, Listener, ListenerFilter
from envoy_data_plane.envoy.data.dns.v3 import (
    DnsTable,
    DnsTableAddressList,
    DnsTableDnsEndpoint,
    DnsTableDnsVirtualDomain,
)
from envoy_data_plane.envoy.extensions.filters.udp.dns_filter.v3 import (
    DnsFilterConfig,
    DnsFilterConfigClientContextConfig,
    DnsFilterConfigServerContextConfig,
)
from envoy_data_plane.envoy.extensions.network.dns_resolver.cares.v3 import CaresDnsResolverConfig

from xds.build.chains import address_of
from xds.message import PARTS, any_of, encode, framer, joined, new

if TYPE_CHECKING:
    from xds.view import DnsListener

DNS_FILTER = "envoy.filters.udp.dns_filter"
CARES = "envoy.network.dns_resolver.cares"
STAT_PREFIX = "kuma_dns"

# Of names that are looked up elsewhere. Resolvers of applications ask again after 5 s.
LOOKUP_TIMEOUT = timedelta(seconds=4)  # of a lookup as a whole
QUERY_TIMEOUT_S = 1  # of one query to one server
QUERY_TRIES = 3
PENDING_MAX = 4_096  # lookups at a time: beyond it names do not resolve

_domain_field = framer(DnsTable, "virtual_domains")
_name_field = framer(DnsTableDnsVirtualDomain, "name")
_endpoint_field = framer(DnsTableDnsVirtualDomain, "endpoint")
_list_field = framer(DnsTableDnsEndpoint, "address_list")
_address_field = framer(DnsTableAddressList, "address")


def dns_listener(argument: DnsListener) -> Listener:
    first, *more = [_udp(address, argument.port) for address in argument.addresses]
    return new(
        Listener,
        name=argument.name,
        address=first,
        additional_addresses=[new(AdditionalAddress, address=each) for each in more],
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=argument.reuse_port,
        listener_filters=[
            new(ListenerFilter, name=DNS_FILTER, typed_config=any_of(_filter(argument)))
        ],
    )


def _udp(address: str, port: int) -> Address:
    found = new(SocketAddress, protocol=SocketAddressProtocol.UDP, address=address, port_value=port)
    return new(Address, socket_address=found)


def _filter(argument: DnsListener) -> DnsFilterConfig:
    return new(
        DnsFilterConfig,
        stat_prefix=STAT_PREFIX,
        server_config=new(DnsFilterConfigServerContextConfig, inline_dns_table=_table(argument)),
        client_config=_client(argument.resolvers) if argument.forwards else None,
    )


def _table(argument: DnsListener) -> DnsTable:
    ttl = _ttl(argument.ttl_s)
    return joined(
        DnsTable,
        *[
            _domain_field(_name_field(name.encode()) + _endpoint(addresses) + ttl)
            for name, addresses in argument.records
        ],
    )


def _endpoint(addresses: tuple[str, ...]) -> bytes:
    found = b"".join([_address_field(each.encode()) for each in addresses])
    return _endpoint_field(_list_field(found))


@lru_cache(PARTS)
def _ttl(seconds: int) -> bytes:
    return encode(new(DnsTableDnsVirtualDomain, answer_ttl=timedelta(seconds=seconds)))


def _client(resolvers: tuple[tuple[str, int], ...]) -> DnsFilterConfigClientContextConfig:
    """Servers of the host are read from its /etc/resolv.conf by the library Envoy uses."""
    config = new(
        CaresDnsResolverConfig,
        resolvers=[address_of(address, port) for address, port in resolvers],
        dns_resolver_options=new(DnsResolverOptions, no_default_search_domain=True),
        query_timeout_seconds=QUERY_TIMEOUT_S,
        query_tries=QUERY_TRIES,
    )
    return new(
        DnsFilterConfigClientContextConfig,
        resolver_timeout=LOOKUP_TIMEOUT,
        typed_dns_resolver_config=new(
            TypedExtensionConfig, name=CARES, typed_config=any_of(config)
        ),
        max_pending_lookups=PENDING_MAX,
    )
