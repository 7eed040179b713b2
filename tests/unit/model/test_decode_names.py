"""VirtualOutbound, HostnameGenerator, and what else decides over names, from plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.decode import mesh_resource
from reconciler.model.decode import DecodeError
from reconciler.model.resource import SERVICE, Labels, ResourceKey
from reconciler.model.spec import (
    DataplaneSpec,
    ExternalServiceSpec,
    HostnameGeneratorSpec,
    VirtualOutboundSpec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.spec import Spec


def decoded(type_: str, data: Mapping[str, object]) -> Spec:
    return mesh_resource(ResourceKey(type_, "m", "x"), Labels(), data).spec


def test_a_virtual_outbound_has_its_selectors_and_templates() -> None:
    conf = {
        "host": "{{.srv}}.mesh",
        "port": "80",
        "parameters": [{"name": "srv", "tagKey": SERVICE}, {"name": "instance"}],
    }
    selectors = [{"match": {SERVICE: "*", "a": "b"}}, {"match": {}}]
    assert decoded("VirtualOutbound", {"selectors": selectors, "conf": conf}) == (
        VirtualOutboundSpec(
            selectors=((("a", "b"), (SERVICE, "*")), ()),
            host="{{.srv}}.mesh",
            port="80",
            parameters=(("srv", SERVICE), ("instance", "instance")),
        )
    )


def test_a_hostname_generator_has_the_labels_of_each_kind_that_it_names() -> None:
    selector = {"meshService": {"matchLabels": {"a": "b"}}, "meshExternalService": {}}
    assert decoded("HostnameGenerator", {"selector": selector, "template": "t"}) == (
        HostnameGeneratorSpec(
            (("MeshService", (("a", "b"),)), ("MeshExternalService", ())), template="t"
        )
    )


@pytest.mark.parametrize(
    ("type_", "data", "path"),
    [
        ("VirtualOutbound", {"selectors": [1]}, "selectors[0]"),
        ("VirtualOutbound", {"conf": {"parameters": [{"name": 1}]}}, "conf.parameters[0].name"),
        ("HostnameGenerator", {"selector": {"meshService": {"matchLabels": {"a": 1}}}},
         "selector.meshService.matchLabels.a"),
        ("ExternalService", {"tags": {SERVICE: "x"}, "networking": {"disableHostDNSEntry": 1}},
         "networking.disableHostDNSEntry"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_told_with_its_place(
    type_: str, data: Mapping[str, object], path: str
) -> None:
    with pytest.raises(DecodeError) as raised:
        decoded(type_, data)
    assert raised.value.path == path


def test_a_host_of_an_external_service_is_a_name_unless_it_says_otherwise() -> None:
    for networking, named in (({}, True), ({"disableHostDNSEntry": True}, False)):
        data = {"tags": {SERVICE: "x"}, "networking": {"address": "a:1", **networking}}
        found = decoded("ExternalService", data)
        assert isinstance(found, ExternalServiceSpec)
        assert found.named is named


def test_an_inbound_says_that_it_is_ignored() -> None:
    inbounds = [{"port": 80, "state": "Ignored"}, {"port": 81, "state": "NotReady"}]
    found = decoded("Dataplane", {"networking": {"address": "10.0.0.1", "inbound": inbounds}})
    assert isinstance(found, DataplaneSpec)
    assert [each.ignored for each in found.inbounds] == [True, False]
