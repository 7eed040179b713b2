"""HostnameGenerator: host names of services, by a template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.addresses import is_subdomain
from reconciler.part import Part, not_empty
from reconciler.templates.functions import Record
from reconciler.templates.tokens import TemplateError
from reconciler.templates.values import evaluated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

SELECTORS = ("meshService", "meshExternalService", "meshMultiZoneService")
# Each word shows where in the name it comes to stand.
EXAMPLE = Record(
    Name="name", DisplayName="displayname", Namespace="namespace", Mesh="mesh", Zone="zone"
)


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    if len(document["selector"].given(*SELECTORS)) != 1:
        text = f"selector is of one kind of service; write one of {', '.join(SELECTORS)}"
        yield document["selector"].fault("VAL008", text)
    yield from _check_template(document["template"])
    if document["extension"]:
        yield from not_empty(document["extension"]["type"], "write the name of the extension")


def _check_template(template: Part) -> Faults:
    yield from not_empty(template, "write one such as {{ .DisplayName }}.mesh")
    if not template.text:
        return
    try:
        name = evaluated(template.text, EXAMPLE, {"label": lambda _: "label"})
    except TemplateError as error:
        yield template.fault("VAL010", f"the template cannot be read: {error}")
        return
    if not is_subdomain(name):
        text = f'the template makes "{name[:60]}", which is no host name; use lower case and dots'
        yield template.fault("VAL010", text)
