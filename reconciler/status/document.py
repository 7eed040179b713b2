"""The tree of files a zone writes to its status ref: pure, canonical, without times.

    ingress.yaml                      each ZoneIngress with its availableServices
    applied.yaml                      policy revision in force, proxies by state, what was rejected
    proxies/<mesh>/<service>.yaml     the proxies of that service, by what they have in common

Each file begins with its format number; files without one are of format 1. A newer one is refused.
Equal input gives equal bytes, on every machine and version of a YAML library: the emitter is our
own. Whoever holds equal bytes makes no commit.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias, cast

import yaml

from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.kds.manifest import Rejection

FORMAT = 3  # 2 had of a proxy's class its inbounds only; 1, without a number, said the same
INGRESS_PATH = "ingress.yaml"
APPLIED_PATH = "applied.yaml"
SERVICE_TAG = "kuma.io/service"
HEADER = "# Written by the control plane of zone {zone}. Do not edit: changes are overwritten.\n"
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*\Z")
RESERVED = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
SAFE_IN_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
NAMES_KEPT = 8192  # file names; one takes 5 us, and those of all services are asked for each time
NAME_MAX = 200  # of 255 bytes a file system allows; longer ones end in a digest
NO_SERVICE = "_none"  # a gateway without inbounds; no escaped name begins with "_"
FILE_BYTES_MAX = 8 * 1024 * 1024
DEPTH_MAX = 32


class Inventory(StrEnum):
    """How much of its proxies a zone writes to Git."""

    CLASSES = "classes"  # tags, ports and counts; no names, no addresses
    FULL = "full"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class ProxyClass:
    """Proxies that differ in name and address only; see `reconciler.status.shape`."""

    mesh: str
    shape: str
    count: int


@dataclass(frozen=True, slots=True)
class ProxyEntry:
    """One proxy, for `Inventory.FULL`; `shape` as in ProxyClass."""

    mesh: str
    name: str
    address: str
    shape: str


@dataclass(frozen=True, slots=True)
class StatusInput:
    """All that status files are made of. `ingresses`: JSON of each, `name` among its fields.

    None is unknown: a real Kuma zone does not say what its proxies acknowledged.
    """

    zone: str
    revision: str | None = ""
    ingresses: tuple[str, ...] = ()
    total: int = 0
    acked: int | None = 0
    pending: int | None = 0
    rejections: tuple[Rejection, ...] = ()
    classes: tuple[ProxyClass, ...] = ()
    proxies: tuple[ProxyEntry, ...] = ()


class StatusUnreadable(ValueError):
    """A status file that no control plane of ours wrote."""


# What makes the documents of a file, and all that they are made of.
_Source: TypeAlias = "tuple[Callable[..., list[object]], tuple[object, ...]]"
_Sources: TypeAlias = "Mapping[str, _Source]"
_Shapes: TypeAlias = "Mapping[str, tuple[str, ...]]"  # the services of each


@dataclass(frozen=True, slots=True)
class _Listed:
    """The files of an inventory: what makes each, and what all of it is made of."""

    zone: str = ""
    told: tuple[ProxyClass, ...] | tuple[ProxyEntry, ...] = ()
    sources: _Sources = field(default_factory=dict)
    shapes: _Shapes = field(default_factory=dict)

    def after(self, status: StatusInput, inventory: Inventory) -> _Listed:
        """Itself where a later status has the same rows, as after a push alone."""
        if inventory is Inventory.OFF:
            return _Listed()
        told = status.proxies if inventory is Inventory.FULL else status.classes
        if self.told is told and self.zone == status.zone:
            return self
        shapes: dict[str, tuple[str, ...]] = {}
        sources = _inventory(status.zone, told, self.shapes, shapes)
        return _Listed(status.zone, told, sources, shapes)


@dataclass(frozen=True, slots=True)
class Rendering:
    """`files`: path -> content of the whole tree, sorted by path; where a file is made of what it
    was made of before, it is the same object.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    _sources: _Sources = field(default_factory=dict, repr=False)
    _listed: _Listed = field(default_factory=_Listed, repr=False)

    def after(self, status: StatusInput, inventory: Inventory) -> Rendering:
        """Of a later status of the same zone: a service that changes costs its own file."""
        listed = self._listed.after(status, inventory)
        sources: dict[str, _Source] = {
            APPLIED_PATH: (_applied, (replace(status, ingresses=(), classes=(), proxies=()),)),
            INGRESS_PATH: (_ingresses, (status.zone, *sorted(status.ingresses))),
            **listed.sources,
        }
        header = HEADER.format(zone=json.dumps(status.zone)[1:-1])
        had = self._sources
        files = {
            path: self.files[path]
            if had.get(path) == source
            else (header + "---\n".join(map(emit, source[0](*source[1])))).encode()
            for path, source in sorted(sources.items(), key=itemgetter(0))
        }
        return Rendering(files, sources, listed)


def files(status: StatusInput, inventory: Inventory = Inventory.CLASSES) -> Mapping[str, bytes]:
    """Path -> content of the whole tree, sorted by path."""
    return Rendering().after(status, inventory).files


def files_digest(tree: Mapping[str, bytes]) -> str:
    """Identity of a tree's content."""
    return digest(part for path in sorted(tree) for part in (path.encode(), tree[path]))


def summary(status: StatusInput) -> str:
    """What a commit says of itself in a few words."""
    names = ", ".join(sorted(str(_ingress(text)["name"]) for text in status.ingresses))
    revision = "unknown" if status.revision is None else status.revision[:12] or "none"
    rejected = len({r.proxy for r in status.rejections})
    acked = "?" if status.acked is None else status.acked
    counts = f"{acked}/{status.total} proxies" + (f", {rejected} rejected" * bool(rejected))
    return f"revision {revision}, {counts}" + (f", ingress {names}" if names else "")


def reach(status: StatusInput) -> frozenset[str]:
    """What others reach through it: its ingresses, and the services behind each."""
    found: set[str] = set()
    for text in status.ingresses:
        data = json.loads(text)
        found.add(data["name"])
        for service in data.get("availableServices", ()):
            tags = _canonical(service.get("tags", {}))
            found.add(f"{data['name']} {service.get('mesh', '')} {tags}")
    return frozenset(found)


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def parse_ingress(body: bytes) -> tuple[dict[str, object], ...]:
    """ZoneIngresses of an `ingress.yaml` as plain data, `type` and `name` among the fields. Raises
    StatusUnreadable.
    """
    found = parsed(body, INGRESS_PATH)
    for document in found:
        if not isinstance(document, dict) or not isinstance(document.get("name"), str):
            raise StatusUnreadable(f"{INGRESS_PATH}: each document must be a mapping with a name")
        if document.get("type") != "ZoneIngress":
            raise StatusUnreadable(
                f"{INGRESS_PATH}: {document['name']} is a {document.get('type')}, "
                "and only a ZoneIngress is read from a status ref"
            )
    return tuple(cast("list[dict[str, object]]", found))


def parsed(body: bytes, path: str) -> list[object]:
    """The documents of a status file of a format that is known, without the one of the format
    alone.

    Whoever may push could have written it: size, depth, aliases and tags are checked before a value
    is built. Raises StatusUnreadable.
    """
    if len(body) > FILE_BYTES_MAX:
        raise StatusUnreadable(f"{path} has {len(body)} bytes, over {FILE_BYTES_MAX}")
    try:
        _check_events(body, path)
        found = [d for d in yaml.load_all(body, Loader=yaml.CSafeLoader) if d is not None]
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise StatusUnreadable(f"{path}: {error}") from error
    if found and isinstance(found[0], dict) and "type" not in found[0] and "format" in found[0]:
        check_format(found[0].pop("format"), path)
        found = found if found[0] else found[1:]
    return found


def check_format(found: object, path: str) -> None:
    """Raises StatusUnreadable for a format this program does not know."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise StatusUnreadable(f"{path}: {found!r} is no format number")
    if found > FORMAT:
        raise StatusUnreadable(
            f"{path} has format {found}, and this program reads up to {FORMAT}: "
            "it was written by a newer one, upgrade this control plane"
        )


def _check_events(body: bytes, path: str) -> None:
    depth = 0
    for event in yaml.parse(body, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise StatusUnreadable(f"{path}: aliases are not read")
        if getattr(event, "tag", None) is not None:
            raise StatusUnreadable(f"{path}: tags are not read")  # some break the parser
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise StatusUnreadable(f"{path}: nested deeper than {DEPTH_MAX}")


# --- documents ---


def _ingresses(_zone: str, *texts: str) -> list[object]:
    """The format by itself: each of the following documents is a resource as Kuma writes it."""
    return [{"format": FORMAT}, *map(_ingress, texts)]


def _ingress(text: str) -> dict[str, object]:
    """Kuma's universal form: type and name first."""
    data = json.loads(text)
    assert isinstance(data, dict)
    first = {"type": "ZoneIngress", "name": data["name"]}
    return first | {key: data[key] for key in sorted(data) if key not in first}


def _applied(status: StatusInput) -> list[object]:
    rejected: int | None = None
    if status.acked is not None and status.pending is not None:
        named = len({(r.mesh, r.proxy) for r in status.rejections})
        rejected = max(named, status.total - status.acked - status.pending)
    found = {
        "format": FORMAT,
        "revision": status.revision,
        "proxies": {
            "total": status.total,
            "acked": status.acked,
            "pending": status.pending,
            "rejected": rejected,
        },
        "rejections": [_rejection(rejection) for rejection in sorted(status.rejections)],
    }
    return [found]


def _rejection(rejection: Rejection) -> dict[str, object]:
    return {
        "mesh": rejection.mesh,
        "proxy": rejection.proxy,
        "type": rejection.type,
        "message": rejection.message,
        "policies": list(rejection.policies),
    }


def _inventory(
    zone: str,
    told: Iterable[ProxyClass | ProxyEntry],
    known: _Shapes,
    shapes: dict[str, tuple[str, ...]],
) -> dict[str, _Source]:
    """One file a mesh and service; a proxy of several services stands in each one's file. `shapes`
    is filled, from those that are `known`.
    """
    found: dict[tuple[str, str], list[ProxyClass | ProxyEntry]] = {}
    for row in sorted(told, key=_row):
        services = shapes.get(row.shape)
        if services is None:
            services = shapes[row.shape] = known.get(row.shape) or _services(row.shape)
        for service in services:
            found.setdefault((row.mesh, service), []).append(row)
    return {
        proxies_path(mesh, service): (_of_service, (zone, mesh, service, *listed))
        for (mesh, service), listed in found.items()
    }


def _services(shape: str) -> tuple[str, ...]:
    said = json.loads(shape)
    services = {i["tags"].get(SERVICE_TAG, "") for i in said["inbounds"]}
    return tuple(sorted(services or {said.get("gateway", {}).get(SERVICE_TAG, "")}))


def _of_service(
    _zone: str, mesh: str, service: str, *rows: ProxyClass | ProxyEntry
) -> list[object]:
    by_name = "proxies" if isinstance(rows[0], ProxyEntry) else "classes"
    listed = [_said(row) | json.loads(row.shape) for row in rows]
    return [{"format": FORMAT, "mesh": mesh, "service": service, by_name: listed}]


def _said(row: ProxyClass | ProxyEntry) -> dict[str, object]:
    if isinstance(row, ProxyEntry):
        return {"name": row.name, "address": row.address}
    return {"count": row.count}


def _row(row: ProxyClass | ProxyEntry) -> tuple[str, str, str]:
    return (row.mesh, row.shape, row.name if isinstance(row, ProxyEntry) else "")


# --- paths ---


def proxies_path(mesh: str, service: str) -> str:
    return f"proxies/{path_name(mesh)}/{path_name(service) if service else NO_SERVICE}.yaml"


@lru_cache(maxsize=NAMES_KEPT)
def path_name(name: str) -> str:
    """A file name for any name: what is not a plain lower case name is %-encoded.

    Different names stay different, also on file systems that ignore case; the result is never
    hidden, special or an option of a command.
    """
    safe = "".join(
        chr(byte)
        if chr(byte) in SAFE_IN_NAME and not (at == 0 and chr(byte) in ".-_")
        else f"%{byte:02x}"
        for at, byte in enumerate(name.encode("utf-8", "surrogatepass"))
    )
    if len(safe) <= NAME_MAX:
        return safe or "%"
    return f"{safe[: NAME_MAX - 65]}%{digest((name.encode('utf-8', 'surrogatepass'),))}"


# --- canonical YAML ---


def emit(value: object) -> str:
    """Block style YAML of plain JSON data, in the order given. Every line ends with a newline."""
    out: list[str] = []
    _add(value, "", "", out)
    return "".join(out)


def _add(value: object, first: str, indent: str, out: list[str]) -> None:
    """The value's lines; the first of them begins with `first`, the others with `indent`."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if isinstance(item, dict | list) and item:
                out.append(f"{first}{_scalar(key)}:\n")
                _add(item, indent + "  ", indent + "  ", out)
            else:
                out.append(f"{first}{_scalar(key)}: {_inline(item)}\n")
            first = indent
    elif isinstance(value, list) and value:
        for item in value:
            _add(item, first + "- ", indent + "  ", out)
            first = indent
    else:
        out.append(f"{first}{_inline(value)}\n")


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return _scalar(value)


def _scalar(value: object) -> str:
    """Strings that could be read as something else are quoted, as YAML and JSON both do it."""
    if isinstance(value, str) and PLAIN.match(value) and value.lower() not in RESERVED:
        return value
    if isinstance(value, str):
        return "".join(map(_printable, json.dumps(value, ensure_ascii=False)))
    assert value is None or isinstance(value, bool | int | float), value
    return json.dumps(value)


def _printable(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"  # half a surrogate pair is no character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
