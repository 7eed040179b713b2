"""What a schema cannot say of a Mesh (facts/dataplane-wire.md 2.5, policies.md 1.2). Pure.

Tolerates documents that the schema has refused, because one round reports everything. What passes
here can be turned into certificates and into Kuma's message without a further fault.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from reconciler.model.decode import DecodeError, is_lifetime, lifetime_s
from reconciler.problems import Position, Problem

Fields = Mapping[str, object]
Path = tuple[str | int, ...]
At = Callable[[Path], Position]

BACKENDS_MAX = 10  # every proxy holds all their CAs, and a handshake may look through them
YEARS_MAX = 100
LIFETIME_MAX_S = YEARS_MAX * 365 * 86400
RSA_BITS = range(2048, 8193)  # less is refused by Envoy, more takes minutes to make
# section -> (field that names the backend in force, types there are)
_SECTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mtls": ("enabledBackend", ("builtin", "provided")),
    "tracing": ("defaultBackend", ("zipkin", "datadog")),
    "logging": ("defaultBackend", ("file", "tcp")),
    "metrics": ("enabledBackend", ("prometheus",)),
}
_NAME = re.compile(r"[0-9A-Za-z._-]{1,100}")  # it becomes a part of the names of secrets
_SOURCES = ("secret", "file", "inline", "inlineString")
_ZIPKIN_VERSIONS = ("httpJson", "httpJsonV1", "httpProto")
_METRICS_TLS = ("activeMTLSBackend", "providedTLS", "disabled")
_URL = re.compile(
    r"[a-zA-Z][\w+.-]*://(?:\[[0-9a-fA-F:.]+\]|[^:/?#\s\[\]]+):([0-9]{1,5})([/?#]\S*)?"
)
_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+):([0-9]{1,5})")


def check_mesh(spec: Fields, at: At) -> Iterator[Problem]:
    for section, (chosen, types) in _SECTIONS.items():
        if isinstance(spec.get(section), Mapping):
            yield from _check_backends(section, _mapping(spec[section]), chosen, types, at)
    backends = list(_items(_mapping(spec.get("mtls")).get("backends")))
    if len(backends) > BACKENDS_MAX:
        text = f"a mesh has at most {BACKENDS_MAX} mTLS backends; remove what is no longer used"
        yield Problem(at(("mtls", "backends", BACKENDS_MAX)), "MSH001", text)
    if _mapping(spec.get("routing")).get("zoneEgress") is True and not _mtls_enabled(spec):
        text = "zoneEgress needs mTLS; set mtls.enabledBackend or remove it"
        yield Problem(at(("routing", "zoneEgress")), "MSH004", text)
    yield from _check_constraints(spec, at)


def _mtls_enabled(spec: Fields) -> bool:
    return bool(_mapping(spec.get("mtls")).get("enabledBackend"))


def _check_backends(
    section: str, data: Fields, chosen: str, types: tuple[str, ...], at: At
) -> Iterator[Problem]:
    names: set[str] = set()
    for index, backend in _items(data.get("backends")):
        path: Path = (section, "backends", index)
        name, type_ = str(backend.get("name", "")), backend.get("type")
        if name in names:
            text = f'a backend named "{name}" is here already; rename one'
            yield Problem(at((*path, "name")), "MSH002", text)
        names.add(name)
        if isinstance(backend.get("name"), str) and not _NAME.fullmatch(name):
            text = "a backend's name has 1 to 100 letters, digits, '-', '_' and '.'"
            yield Problem(at((*path, "name")), "MSH010", text)
        if not isinstance(type_, str):
            continue  # The schema has said so.
        if type_ not in types:
            text = f'type "{type_}" is not known; use {" or ".join(types)}'
            yield Problem(at((*path, "type")), "MSH005", text)
            continue
        yield from _CONF_CHECKS[type_](_mapping(backend.get("conf")), (*path, "conf"), at)
        yield from _check_lifetime(backend, (*path,), at)
    wanted = data.get(chosen)
    if isinstance(wanted, str) and wanted and wanted not in names:
        text = f'no backend is named "{wanted}"; add it under {section}.backends or correct it'
        yield Problem(at((section, chosen)), "MSH003", text)


def _check_constraints(spec: Fields, at: At) -> Iterator[Problem]:
    proxy = _mapping(_mapping(spec.get("constraints")).get("dataplaneProxy"))
    for name in ("requirements", "restrictions"):
        for index, rule in _items(proxy.get(name)):
            if not _mapping(rule.get("tags")):
                place = at(("constraints", "dataplaneProxy", name, index))
                yield Problem(place, "MSH007", "names no tag; give at least one")


# --- certificates ---


def _check_lifetime(backend: Fields, path: Path, at: At) -> Iterator[Problem]:
    expiration = _mapping(_mapping(backend.get("dpCert")).get("rotation")).get("expiration")
    place = (*path, "dpCert", "rotation", "expiration")
    if is_lifetime(expiration):  # Else the schema has said so.
        yield from _lifetime(expiration, place, at)


def _lifetime(value: object, path: Path, at: At) -> Iterator[Problem]:
    try:
        seconds = lifetime_s(value, "")
    except DecodeError as error:
        yield Problem(at(path), "MSH006", error.message)
        return
    if seconds > LIFETIME_MAX_S:
        yield Problem(at(path), "MSH006", f'"{value}" is over {YEARS_MAX} years; shorten it')


def _check_builtin(conf: Fields, path: Path, at: At) -> Iterator[Problem]:
    certificate = _mapping(conf.get("caCert"))
    bits = certificate.get("RSAbits")
    if bits is not None and (not _is_number(bits) or bits not in RSA_BITS):
        text = f"RSAbits must be {RSA_BITS[0]} to {RSA_BITS[-1]}; leave it out for 2048"
        yield Problem(at((*path, "caCert", "RSAbits")), "MSH006", text)
    yield from _lifetime(certificate.get("expiration"), (*path, "caCert", "expiration"), at)


def _check_provided(conf: Fields, path: Path, at: At) -> Iterator[Problem]:
    for name in ("cert", "key"):
        given = [source for source in _SOURCES if source in _mapping(conf.get(name))]
        if len(given) != 1:
            text = f"{name} needs exactly one of {', '.join(_SOURCES)}"
            yield Problem(at((*path, name)), "MSH008", text)
        elif given[0] == "file":
            text = f"Git does not choose which files are read; use {name}: {{secret: NAME}}"
            yield Problem(at((*path, name, "file")), "MSH011", text)
        elif given[0] == "inline" and not _is_base64(_mapping(conf[name])["inline"]):
            yield Problem(at((*path, name, "inline")), "MSH008", "inline must be base64")
        elif name == "key" and given[0].startswith("inline"):
            text = "a private key must not stand in Git; name a secret: key: {secret: NAME}"
            yield Problem(at((*path, name, given[0])), "MSH009", text)


# --- observability ---


def _check_zipkin(conf: Fields, path: Path, at: At) -> Iterator[Problem]:
    if not _is_url_with_port(str(conf.get("url", ""))):
        text = "url must be absolute and name its port, such as http://zipkin:9411/api/v2/spans"
        yield Problem(at((*path, "url")), "MSH008", text)
    version = conf.get("apiVersion")
    if version not in (None, *_ZIPKIN_VERSIONS):
        text = f"apiVersion must be one of {', '.join(_ZIPKIN_VERSIONS)}"
        yield Problem(at((*path, "apiVersion")), "MSH008", text)


def _is_url_with_port(text: str) -> bool:
    found = _URL.fullmatch(text)
    return found is not None and _is_port(int(found[1]))


def _check_datadog(conf: Fields, path: Path, at: At) -> Iterator[Problem]:
    if not conf.get("address"):
        yield Problem(at((*path, "address")), "MSH008", "address is missing; name the agent's host")
    if not _is_port(conf.get("port")):
        yield Problem(at((*path, "port")), "MSH008", "port must be 1 to 65535")


def _check_file(conf: Fields, path: Path, at: At) -> Iterator[Problem]:
    if not conf.get("path"):
        yield Problem(at((*path, "path")), "MSH008", "path is missing; name the log file")


def _check_tcp(conf: Fields, path: Path, at: At) -> Iterator[Problem]:
    found = _HOST_PORT.fullmatch(str(conf.get("address", "")))
    if found is None or not _is_port(int(found[2])):
        yield Problem(at((*path, "address")), "MSH008", "address must be host:port")


def _check_prometheus(conf: Fields, path: Path, at: At) -> Iterator[Problem]:
    if conf.get("port") is not None and not _is_port(conf["port"]):
        yield Problem(at((*path, "port")), "MSH008", "port must be 1 to 65535")
    mode = _mapping(conf.get("tls")).get("mode")
    if mode not in (None, *_METRICS_TLS):
        text = f"tls.mode must be one of {', '.join(_METRICS_TLS)}"
        yield Problem(at((*path, "tls", "mode")), "MSH008", text)
    elif mode is not None and conf.get("skipMTLS") is (mode != "disabled"):
        text = f"skipMTLS contradicts tls.mode {mode}; remove skipMTLS"
        yield Problem(at((*path, "skipMTLS")), "MSH008", text)
    names: set[object] = set()
    for index, item in _items(conf.get("aggregate")):
        if str(item.get("name")) in names:
            place = at((*path, "aggregate", index, "name"))
            yield Problem(place, "MSH002", "another entry has this name; rename one")
        names.add(str(item.get("name")))


_CONF_CHECKS: Mapping[str, Callable[[Fields, Path, At], Iterator[Problem]]] = {
    "builtin": _check_builtin,
    "provided": _check_provided,
    "zipkin": _check_zipkin,
    "datadog": _check_datadog,
    "file": _check_file,
    "tcp": _check_tcp,
    "prometheus": _check_prometheus,
}


def _mapping(value: object) -> Fields:
    return cast("Fields", value) if isinstance(value, Mapping) else {}


def _items(value: object) -> Iterator[tuple[int, Fields]]:
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                yield index, cast("Fields", item)


def _is_base64(value: object) -> bool:
    try:
        base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return False
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_port(value: object) -> bool:
    return _is_number(value) and value in range(1, 65536)
