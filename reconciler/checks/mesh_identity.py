"""MeshIdentity: who issues certificates to workloads, and for which name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import Part, duration_not_negative, not_allowed, not_empty, required
from reconciler.templates.tokens import TemplateError
from reconciler.templates.tree import parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

_PROVIDERS = ("bundled", "spire", "extension")
# type of a source -> (where it stands, what it needs)
_SOURCES: Mapping[str, tuple[str, str]] = {
    "File": ("file", "path"),
    "EnvVar": ("envVar", "name"),
    "InsecureInline": ("insecureInline", "value"),
    "Secret": ("secretRef", "name"),
}


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    for name in ("trustDomain", "path"):
        yield from _template(document["spiffeID"][name])
    provider = document["provider"]
    named = provider["type"].text.lower()
    if named not in _PROVIDERS:
        return  # The schema has said so.
    part = provider[named]
    yield from required(part, f"write {named}: with what this provider needs, or {{}}")
    if not part:
        return
    match named:
        case "bundled":
            yield from _bundled(part)
        case "spire":
            agent = part["agent"]
            inner = (*agent.path, "spire", "agent")  # so Kuma's API names it
            yield from duration_not_negative(agent["timeout"].called((*inner, "timeout")))
        case _:
            yield from not_empty(part["name"], "write which extension it is")


def _template(part: Part) -> Faults:
    try:
        parsed(part.text, ("label",))
    except TemplateError as error:
        yield part.fault("VAL010", f"{part.name} is no template: {error}")


def _bundled(bundled: Part) -> Faults:
    ca = bundled["ca"]
    if bundled["autogenerate"]["enabled"].value is True:
        yield from not_allowed(ca, "the control plane makes one (autogenerate)")
    else:
        yield from required(
            ca, "write certificate and privateKey, or autogenerate: {enabled: true}"
        )
        for source in (ca["certificate"], ca["privateKey"]) if ca else ():
            yield from required(source, "write type: Secret and its secretRef")
            yield from _source(source)
        yield from _plain_key(ca["privateKey"])
    yield from duration_not_negative(bundled["certificateParameters"]["expiry"])


def _source(source: Part) -> Faults:
    known = _SOURCES.get(source["type"].text)
    if known is None:
        return
    part, needed = source[known[0]], known[1]
    yield from required(part, f"write it with its {needed}")
    if part:
        yield from not_empty(part[needed], "write it")
    path = part["path"]
    if path.text and (".." in path.text or not path.text.startswith("/")):
        yield path.fault("VAL010", "path must be absolute and without ..; write it so")


def _plain_key(key: Part) -> Faults:
    value = key["insecureInline"]["value"]
    if key["type"].text == "InsecureInline" and value.text:
        text = "a private key must not stand in Git; name a secret: type: Secret, secretRef: …"
        yield value.fault("MSH009", text)
