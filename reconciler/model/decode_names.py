"""What gives names to services as typed specs: VirtualOutbound and HostnameGenerator. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.decode import Fields, fields_of, list_of, tags_of, text_of
from reconciler.model.spec import HostnameGeneratorSpec, VirtualOutboundSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a selector is called, and the kind of resource that it selects.
SELECTED = {
    "meshService": "MeshService",
    "meshExternalService": "MeshExternalService",
    "meshMultiZoneService": "MeshMultiZoneService",
}


def decode_virtual_outbound(data: Fields) -> VirtualOutboundSpec:
    conf = fields_of(data.get("conf"), "conf")
    return VirtualOutboundSpec(
        selectors=tuple(
            tags_of(item.get("match"), f"{path}.match") for path, item in _each(data, "selectors")
        ),
        host=text_of(conf.get("host"), "conf.host"),
        port=text_of(conf.get("port"), "conf.port"),
        parameters=tuple(_parameter(path, item) for path, item in _each(conf, "parameters")),
    )


def _each(data: Fields, name: str) -> Iterator[tuple[str, Fields]]:
    for index, item in enumerate(list_of(data.get(name), name)):
        path = f"{name}[{index}]"
        yield path, fields_of(item, path)


def _parameter(path: str, data: Fields) -> tuple[str, str]:
    """Without a tag its name is that of one."""
    name = text_of(data.get("name"), f"conf.{path}.name")
    return name, text_of(data.get("tagKey"), f"conf.{path}.tagKey") or name


def decode_hostname_generator(data: Fields) -> HostnameGeneratorSpec:
    selector = fields_of(data.get("selector"), "selector")
    found: list[tuple[str, tuple[tuple[str, str], ...]]] = []
    for name, kind in SELECTED.items():
        if selector.get(name) is not None:
            path = f"selector.{name}"
            labels = fields_of(selector[name], path).get("matchLabels")
            found.append((kind, tags_of(labels, f"{path}.matchLabels")))
    return HostnameGeneratorSpec(tuple(found), text_of(data.get("template"), "template"))
