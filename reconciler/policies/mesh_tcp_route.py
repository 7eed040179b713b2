"""MeshTCPRoute: where connections to a service go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import Part, not_empty
from reconciler.policies.backend import check_backends
from reconciler.policies.document import check_sections
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, SERVICE_KINDS, PolicyRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults


def check(spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    for item in Part(spec, (), at)["to"].items():
        for rule in item["rules"].items():
            refs = rule["default"]["backendRefs"]
            yield from not_empty(refs, "write where the connections go")
            yield from check_backends(refs)
        if item["rules"].value == []:
            yield item["rules"].warning("VAL002", "rules is empty; write one, or remove the item")


POLICY = PolicyRules(
    kind="MeshTCPRoute",
    slug="mesh_tcp_route",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    system_kinds=(GATEWAY,),
    to_kinds=SERVICE_KINDS,
    narrow_to_kinds={GATEWAY: ("Mesh",)},
    needs_list=False,
)
