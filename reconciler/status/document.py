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
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, cast

import yaml

from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.kds.manifest import Rejection

FORMAT = 3  # 2 had of a proxy's class its inbounds only; 1, without a number, said the same
INGRESS_PATH = "ingress.yaml"
APPLIED_PATH = "applied.yaml"
SERVICE_TAG = "kuma.io/service"
HEADER = "# Written by the control plane of zone {zone}. Do not edit: changes are overwritten.\n"
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*\Z")
RESERVED = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
SAFE_IN_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")
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


def files(status: StatusInput, inventory: Inventory = Inventory.CLASSES) -> Mapping[str, bytes]:
    """Path -> content of the whole tree, sorted by path."""
    documents: dict[str, list[object]] = {
        APPLIED_PATH: [{"format": FORMAT} | _applied(status)],
        # By itself: each of the following documents is a resource as Kuma writes it.
        INGRESS_PATH: [{"format": FORMAT}, *map(_ingress, sorted(status.ingresses))],
        **_inventory(status, inventory),
    }
    header = HEADER.format(zone=json.dumps(status.zone)[1:-1])
    return {
        path: (header + "---\n".join(map(emit, documents[path]))).encode()
        for path in sorted(documents)
    }


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


def _ingress(text: str) -> dict[str, object]:
    """Kuma's universal form: type and name first."""
    data = json.loads(text)
    assert isinstance(data, dict)
    first = {"type": "ZoneIngress", "name": data["name"]}
    return first | {key: data[key] for key in sorted(data) if key not in first}


def _applied(status: StatusInput) -> dict[str, object]:
    rejected: int | None = None
    if status.acked is not None and status.pending is not None:
        named = len({(r.mesh, r.proxy) for r in status.rejections})
        rejected = max(named, status.total - status.acked - status.pending)
    return {
        "revision": status.revision,
        "proxies": {
            "total": status.total,
            "acked": status.acked,
            "pending": status.pending,
            "rejected": rejected,
        },
        "rejections": [_rejection(rejection) for rejection in sorted(status.rejections)],
    }


def _rejection(rejection: Rejection) -> dict[str, object]:
    return {
        "mesh": rejection.mesh,
        "proxy": rejection.proxy,
        "type": rejection.type,
        "message": rejection.message,
        "policies": list(rejection.policies),
    }


def _inventory(status: StatusInput, inventory: Inventory) -> dict[str, list[object]]:
    """One file a mesh and service; a proxy of several services stands in each one's file."""
    if inventory is Inventory.OFF:
        return {}
    full = inventory is Inventory.FULL
    rows: list[tuple[str, str, dict[str, object]]] = (
        [
            (p.mesh, p.shape, {"name": p.name, "address": p.address})
            for p in sorted(status.proxies, key=_row)
        ]
        if full
        else [(c.mesh, c.shape, {"count": c.count}) for c in sorted(status.classes, key=_row)]
    )
    found: dict[tuple[str, str], list[object]] = {}
    for mesh, shape, fields in rows:
        said = json.loads(shape)
        services = {i["tags"].get(SERVICE_TAG, "") for i in said["inbounds"]}
        for service in sorted(services or {said.get("gateway", {}).get(SERVICE_TAG, "")}):
            found.setdefault((mesh, service), []).append(fields | said)
    return {
        proxies_path(mesh, service): [
            {
                "format": FORMAT,
                "mesh": mesh,
                "service": service,
                "proxies" if full else "classes": listed,
            }
        ]
        for (mesh, service), listed in found.items()
    }


def _row(row: ProxyClass | ProxyEntry) -> tuple[str, str, str]:
    return (row.mesh, row.shape, row.name if isinstance(row, ProxyEntry) else "")


# --- paths ---


def proxies_path(mesh: str, service: str) -> str:
    return f"proxies/{path_name(mesh)}/{path_name(service) if service else NO_SERVICE}.yaml"


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
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _field(_scalar(key), item)
    elif isinstance(value, list) and value:
        for item in value:
            yield from _item(item)
    else:
        yield _inline(value)


def _field(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield f"{key}:"
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{key}: {_inline(value)}"


def _item(value: object) -> Iterator[str]:
    lines = _lines(value)
    yield f"- {next(lines)}"
    yield from (f"  {line}" for line in lines)


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
