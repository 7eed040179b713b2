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
    SocketAddress,
    SocketAddressProtocol,
    TrafficDirection,
)
from envoy_data_plane.envoy.config.listener.v3 import Listener, ListenerFilter
from envoy_data_plane.envoy.data.dns.v3 import (
    DnsTable,
    DnsTableAddressList,
    DnsTableDnsEndpoint,
    DnsTableDnsVirtualDomain,
)
from envoy_data_plane.envoy.extensions.filters.udp.dns_filter.v3 import (
    DnsFilterConfig,
    DnsFilterConfigServerContextConfig,
)

from xds.message import PARTS, any_of, encode, framer, joined, new

if TYPE_CHECKING:
    from xds.view import DnsListener

DNS_FILTER = "envoy.filters.udp.dns_filter"
STAT_PREFIX = "kuma_dns"

_domain_field = framer(DnsTable, "virtual_domains")
_name_field = framer(DnsTableDnsVirtualDomain, "name")
_endpoint_field = framer(DnsTableDnsVirtualDomain, "endpoint")
_list_field = framer(DnsTableDnsEndpoint, "address_list")
_address_field = framer(DnsTableAddressList, "address")


def dns_listener(argument: DnsListener) -> Listener:
    return new(
        Listener,
        name=argument.name,
        address=_udp(argument.address, argument.port),
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=True,  # without it an Envoy of several workers refuses the listener
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
