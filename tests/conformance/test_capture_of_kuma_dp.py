"""What a kuma-dp on a host that redirects traffic is told, as a zone of Kuma 2.14.3 was seen to
tell the same Dataplanes: names of listeners, addresses, and who answers names. The proxy says of
the redirection in its Dataplane, or in its metadata alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.kuma_dp import FEATURES
from tests.support.protobuf_wire import fields
from tests.support.raw_frames import CDS, LDS
from tests.support.zone import dataplane

if TYPE_CHECKING:
    from tests.support.joined import MtlsMesh
    from tests.support.protobuf_wire import Fields

pytestmark = pytest.mark.timeout(60)
BOTH = pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
EMBEDDED = "feature-embedded-dns"
LISTENERS = {
    "inbound:10.0.0.1:80",
    "inbound:passthrough:ipv4",
    "inbound:passthrough:ipv6",
    "kuma:envoy:admin",
    "outbound:240.0.0.0:80",
    "outbound:passthrough:ipv4",
    "outbound:passthrough:ipv6",
}
DOCUMENT = {
    "records": [{"name": "web.mesh", "ips": ["240.0.0.0", "::ffff:f000:0"]}],
    "ttl": 30,
    "extraLabels": {"kuma_io_zone": "east", "mesh": "default"},
}


def captured() -> dict[str, Any]:
    document = dataplane("web-1", "web")
    ports = {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}
    document["networking"]["transparentProxying"] = ports
    return document


async def named(mesh: MtlsMesh) -> None:
    """A proxy listens, and so its service has a name."""
    await (await mesh.envoy(dataplane("web-0", "web", address="10.0.0.9"))).start()


def documents(body: Fields) -> list[Any]:
    """JSON objects with records, wherever they stand in a message."""
    found: list[Any] = []
    for values in body.values():
        for value in values:
            if not isinstance(value, bytes) or b'"records"' not in value:
                continue
            if value.startswith(b'{"records"'):
                found.append(json.loads(value))
            else:
                found += documents(fields(value))
    return found


@BOTH
async def test_its_own_dns_is_told_the_names_by_a_document(mesh: MtlsMesh, delta: bool) -> None:
    """Without it kuma-dp says for 15 s that it is not ready."""
    await named(mesh)
    envoy = await mesh.envoy(captured(), delta=delta, features=[*FEATURES, EMBEDDED])
    told = await envoy.start()
    assert told[LDS].resources.keys() == LISTENERS | {"_kuma:dynamicconfig"}
    assert documents(told[LDS].resources["_kuma:dynamicconfig"]) == [DOCUMENT]
    assert "web" in told[CDS].resources


async def test_without_one_envoy_answers_what_its_coredns_asks(mesh: MtlsMesh) -> None:
    await named(mesh)
    told = await (await mesh.envoy(captured())).start()
    assert told[LDS].resources.keys() == LISTENERS | {"kuma:dns"}


async def test_what_its_metadata_says_of_the_redirection_is_enough(mesh: MtlsMesh) -> None:
    """As `kuma-dp run --transparent-proxy` says it, with nothing of it in the Dataplane."""
    await named(mesh)
    redirect = {
        "inbound": {"enabled": True, "port": 15006},
        "outbound": {"enabled": True, "port": 15001},
        "dns": {"enabled": True, "port": 15053},
    }
    proxying = {"redirect": redirect, "ipFamilyMode": "dualstack"}
    told = await (
        await mesh.envoy(
            dataplane("web-1", "web"),
            features=[*FEATURES, EMBEDDED, "feature-transparent-proxy-in-dataplane-metadata"],
            dataplaneConfig=proxying,
        )
    ).start()
    assert told[LDS].resources.keys() == LISTENERS | {"_kuma:dynamicconfig"}
