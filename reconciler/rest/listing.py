"""Lists: which of the resources, which page of them, where the next one is
(facts/http-api.md 7). Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Generic, TypeVar

from reconciler.model.spec import DataplaneSpec
from reconciler.rest.answer import LIST_FAILED, Invalid, Parameter, Refused, bad_request
from reconciler.rest.form import labels_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from reconciler.model.resource import MeshResource
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue

SIZE_MAX = 1000  # that a client may ask for, as Kuma's
OFFSET_MAX = 2**31 - 1
DIGITS_MAX = 12
PLAIN = frozenset(f"{ascii_letters}{digits}-._~".encode())  # in a query, as they are
LABEL = "filter[labels."
GATEWAY = {"true": None, "false": False, "builtin": True, "delegated": True}
T = TypeVar("T")

_INTEGER: Mapping[str, object] = {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX}
PAGING = (
    Parameter(
        "size",
        "How many items at most; without it, all of them.",
        {"type": "integer", "minimum": 1, "maximum": SIZE_MAX},
    ),
    Parameter("offset", "How many items to leave out from the beginning.", _INTEGER),
)
FILTERS = (
    *PAGING,
    Parameter("name", "A part of the name."),
    Parameter(
        "filter",
        "`filter[labels.KEY]=VALUE`: a label; may be repeated.",
        {"type": "object", "additionalProperties": {"type": "string"}},
    ),
)
DATAPLANE_FILTERS = (
    *FILTERS,
    Parameter("tag", "`key:value` of one inbound; may be repeated."),
    Parameter(
        "gateway",
        "Gateways only, no gateways, or those of one kind.",
        {"type": "string", "enum": list(GATEWAY)},
    ),
)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    total: int
    next: str | None


def page(catalogue: Catalogue, asked: Asked, items: Sequence[T]) -> Page[T]:
    """Raises Refused for a size or an offset that is none."""
    given, offset = asked.last("size"), _offset(asked.last("offset"))
    size = catalogue.items_max
    if given is not None:
        if not _is_whole(given) or not 1 <= int(given) <= SIZE_MAX:
            text = f"Invalid page size; it is a whole number from 1 to {SIZE_MAX}"
            raise Refused(400, LIST_FAILED, text, Invalid("size", "Invalid format"))
        size = int(given)
    end = offset + size
    link = _next(asked, size, end) if end < len(items) else None
    return Page(items[offset:end], len(items), link)


def _offset(given: str | None) -> int:
    if given is None:
        return 0
    if not _is_whole(given) or int(given) > OFFSET_MAX:
        text = f"Invalid offset; it is a whole number from 0 to {OFFSET_MAX}"
        raise Refused(400, LIST_FAILED, text, Invalid("offset", "Invalid format"))
    return int(given)


def _is_whole(given: str) -> bool:
    """Short, too: Python reads no number of thousands of digits."""
    return given.isascii() and given.isdigit() and len(given) <= DIGITS_MAX


def _next(asked: Asked, size: int, offset: int) -> str:
    kept = [(key, value) for key, value in asked.query if key not in ("size", "offset")]
    query = sorted([*kept, ("offset", str(offset)), ("size", str(size))], key=lambda pair: pair[0])
    text = "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in query)
    return f"{asked.base}{_quoted(asked.path, PLAIN | frozenset(b'/'))}?{text}"


def _quoted(text: str, plain: frozenset[int] = PLAIN) -> str:
    """RFC 3986 2.1."""
    return "".join(chr(b) if b in plain else f"%{b:02X}" for b in text.encode(errors="replace"))


def chosen(asked: Asked, items: Sequence[MeshResource]) -> Sequence[MeshResource]:
    """Those that pass all filters of the request. Raises Refused for a filter that is none."""
    tests = _tests(asked)
    if not tests:
        return items
    return [item for item in items if all(test(item) for test in tests)]


def _tests(asked: Asked) -> list[Callable[[MeshResource], bool]]:
    found: list[Callable[[MeshResource], bool]] = []
    name = asked.last("name")
    if name:
        found.append(lambda item: name in item.key.name)
    labels = _labels(asked)
    if labels:
        found.append(lambda item: labels.items() <= labels_of(item).items())
    tags = _tags(asked)
    if tags:
        found.append(lambda item: _has_tags(item, tags))
    gateway = asked.last("gateway")
    if gateway is not None:
        if gateway not in GATEWAY:
            text = f"gateway must be one of {', '.join(GATEWAY)}"
            raise bad_request(text, Invalid("gateway", text))
        found.append(lambda item: _is_gateway(item, gateway))
    return found


def _labels(asked: Asked) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in asked.query:
        if not key.startswith("filter["):
            continue
        where = f"{asked.route}.{key}"
        if not key.startswith(LABEL):
            text = "only labels can be filtered by: filter[labels.<key>]=<value>"
            raise bad_request(text, Invalid(where, text))
        name, bracket, rest = key.removeprefix(LABEL).partition("]")
        if not bracket or rest or not name:
            text = "write it as filter[labels.<key>]=<value>"
            raise bad_request(text, Invalid(where, text))
        found[name] = value
    return found


def _tags(asked: Asked) -> dict[str, str]:
    """Of `tag=key:value`; one without a colon is passed over, as Kuma does."""
    pairs = (value.partition(":") for key, value in asked.query if key == "tag")
    return {key: value for key, colon, value in pairs if colon}


def _has_tags(item: MeshResource, wanted: Mapping[str, str]) -> bool:
    return any(_fits(dict(tags), wanted) for tags in _tag_sets(item))


def _fits(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(
        key in tags and (value == "*" or value in tags[key]) for key, value in wanted.items()
    )


def _tag_sets(item: MeshResource) -> Iterable[Iterable[tuple[str, str]]]:
    if isinstance(item.spec, DataplaneSpec):
        gateway = (item.spec.gateway_tags,) if item.spec.gateway else ()
        return (*(inbound.tags for inbound in item.spec.inbounds), *gateway)
    if item.key.type == "ExternalService":
        return (json.loads(item.body).get("tags", {}).items(),)
    return ()


def _is_gateway(item: MeshResource, wanted: str) -> bool:
    """A builtin gateway is not admitted (deviations.md), but a zone of Kuma may tell of one."""
    if not isinstance(item.spec, DataplaneSpec):
        return False
    if wanted in ("true", "false"):
        return item.spec.gateway == (wanted == "true")
    builtin = '"type":"BUILTIN"' in item.body
    return item.spec.gateway and builtin == (wanted == "builtin")


def list_text(catalogue: Catalogue, found: Page[MeshResource]) -> str:
    """The list as compact JSON."""
    return joined(found, (text_of(item, catalogue.times(item)) for item in found.items))


def joined(found: Page[T], texts: Iterable[str]) -> str:
    link = json.dumps(found.next, ensure_ascii=False)
    return f'{{"total":{found.total},"items":[{",".join(texts)}],"next":{link}}}'
