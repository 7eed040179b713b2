"""The DNS listener against the sheet (4.4), and against the message it stands for."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from envoy_data_plane.envoy.data.dns.v3 import (
    DnsTable,
    DnsTableAddressList,
    DnsTableDnsEndpoint,
    DnsTableDnsVirtualDomain,
)

from tests.support.xds_inputs import DNS
from xds.build.dns import dns_listener
from xds.build.listeners import build_listener
from xds.message import encode
from xds.readable import readable
from xds.wire import entry_body

if TYPE_CHECKING:
    from xds.view import DnsListener

Json = dict[str, Any]


def listener(argument: DnsListener) -> Json:
    return cast("Json", deepcopy(readable(build_listener(argument))))


def dns_filter(argument: DnsListener) -> Json:
    (found,) = listener(argument)["listenerFilters"]
    assert found["name"] == "envoy.filters.udp.dns_filter"
    return cast("Json", found["typedConfig"])


def socket(address: str) -> Json:
    found = {"protocol": "UDP", "address": address, "portValue": 15054}
    return {"socketAddress": found}


def test_it_listens_on_udp() -> None:
    """As every worker does: an Envoy of several refuses a listener that does not say so."""
    found = listener(DNS)
    found.pop("listenerFilters")
    assert found == {
        "name": "kuma:dns",
        "address": socket("127.0.0.1"),
        "trafficDirection": "INBOUND",
        "enableReusePort": True,
    }


def test_without_forwarding_it_has_the_shape_of_the_sheet() -> None:
    domains = [
        {
            "name": "backend.mesh",
            "endpoint": {"addressList": {"address": ["240.0.0.0", "::ffff:f000:0"]}},
            "answerTtl": "30s",
        },
        {
            "name": "web.mesh",
            "endpoint": {"addressList": {"address": ["240.0.0.1", "::ffff:f000:1"]}},
            "answerTtl": "30s",
        },
    ]
    found = dns_filter(DNS)
    found.pop("@type")
    assert found == {
        "statPrefix": "kuma_dns",
        "serverConfig": {"inlineDnsTable": {"virtualDomains": domains}},
    }


def test_a_mesh_without_names_has_an_empty_table() -> None:
    """Present all the same: Envoy asks for one."""
    assert dns_filter(replace(DNS, records=()))["serverConfig"] == {"inlineDnsTable": {}}


def test_a_record_put_together_is_the_message_encoded() -> None:
    """Of every length that its fields frame differently."""
    records = tuple(
        (f"{'a' * size}.mesh", ("240.0.0.1", "::ffff:f000:1") * (size // 8 + 1))
        for size in (1, 63, 130, 200)
    )
    table = DnsTable(
        virtual_domains=[
            DnsTableDnsVirtualDomain(
                name=name,
                endpoint=DnsTableDnsEndpoint(
                    address_list=DnsTableAddressList(address=list(addresses))
                ),
                answer_ttl=timedelta(seconds=45),
            )
            for name, addresses in records
        ]
    )
    assert bytes(table) == encode(table)
    argument = replace(DNS, records=records, ttl_s=45)
    assert bytes(table) in entry_body(build_listener(argument).entry)[1]
    assert encode(dns_listener(argument)) == entry_body(build_listener(argument).entry)[1]
