"""Mesh: its authorities, the older backends of observability, and who may join it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.checks.address import is_request_url, port_in_url
from reconciler.checks.selectors import tags
from reconciler.legacy_fields import read_conf
from reconciler.model.decode import LIFETIME_MAX_S, is_lifetime, seconds_of
from reconciler.part import PORT_MAX, Part, in_range, not_empty
from reconciler.policies import re2
from reconciler.problems import Problem, Severity
from reconciler.urls import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.part import At, Faults

BACKENDS_MAX = 10  # every proxy holds all their CAs, and a handshake may look through them
RSA_BITS_LEAST, RSA_BITS_ENVOY, RSA_BITS_MOST = 1024, 2048, 8192
NAME_MAX = 150  # of a builtin backend: the secrets named after it are files
_DNS_LABEL = "[a-z0-9_][a-z0-9_-]{0,62}"
_DNS = re.compile(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*[._]?")
_SOURCES = ("secret", "file", "inline", "inlineString")
_ZIPKIN_VERSIONS = ("httpJsonV1", "httpJson", "httpProto")
_SAME_AS_SKIP = {True: "disabled", False: "activeMTLSBackend"}


def check(spec: Mapping[str, object], at: At) -> Faults:
    mesh = Part(spec, (), at)
    found = [
        *_mtls(mesh["mtls"]),
        *_backends(mesh["logging"], "defaultBackend", _logging),
        *_backends(mesh["tracing"], "defaultBackend", _tracing),
        *_backends(mesh["metrics"], "enabledBackend", _metrics),
        *_constraints(mesh["constraints"]["dataplaneProxy"]),
        *_egress(mesh),
    ]
    yield from found
    if all(problem.severity is not Severity.ERROR for problem in found):
        yield from _authorities(mesh["mtls"])


def _mtls(mtls: Part) -> Faults:
    backends = mtls["backends"]
    if len(list(backends.items())) > BACKENDS_MAX:
        text = f"a mesh has at most {BACKENDS_MAX} mTLS backends; remove what is no longer used"
        yield backends.fault("MSH001", text)
    yield from _backends(mtls, "enabledBackend", _certificates)


def _certificates(backend: Part) -> Faults:
    if not backend["dpCert"]:
        return
    expiration = backend["dpCert"]["rotation"]["expiration"]
    if not is_lifetime(expiration.text):
        named = expiration.called(("mtls", "dpcert", "rotation", "expiration"))
        text = f'dpCert needs a lifetime in rotation.expiration, not "{expiration.text[:60]}"'
        yield named.fault("MSH006", f"{text}; write it like 24h, or leave dpCert out")
    yield from _too_long(expiration)


def _too_long(expiration: Part) -> Faults:
    if is_lifetime(expiration.text) and seconds_of(expiration.text) > LIFETIME_MAX_S:
        text = f'"{expiration.text[:60]}" is over 100 years, which is what it counts as; shorten it'
        yield expiration.warning("MSH006", text)


def _backends(section: Part, chosen: str, rules: Callable[[Part], Faults]) -> Faults:
    """What the backends of every section share: each has a name of its own, one is chosen."""
    names: set[str] = set()
    for backend in section["backends"].items():
        yield from rules(backend)
        name = backend["name"]
        if name.text in names:
            text = f'a backend named "{name.text[:60]}" is here already; rename one'
            yield name.fault("MSH002", text)
        names.add(name.text)
    wanted = section[chosen]
    if wanted.text and wanted.text not in names:
        text = f'no backend is named "{wanted.text[:60]}"; add it under backends or correct it'
        yield wanted.fault("MSH003", text)


def _constraints(proxy: Part) -> Faults:
    for name in ("requirements", "restrictions"):
        for rule in proxy[name].items():
            yield from tags(rule["tags"])


def _egress(mesh: Part) -> Faults:
    egress = mesh["routing"]["zoneEgress"]
    if egress.value is True and not mesh["mtls"]["enabledBackend"].text:
        text = "zoneEgress needs mTLS; set mtls.enabledBackend or remove it"
        yield egress.called(("mtls",)).fault("MSH004", text)


# --- the conf of a backend ---


def _read(backend: Part, name: str, message: str) -> tuple[Part | None, list[Problem]]:
    """The conf as its type's message has it; None when it cannot be read. `name` is what Kuma's API
    calls it.
    """
    conf = backend["conf"].called((*backend.path, name))
    data, faults = read_conf(message, conf.fields)
    problems = []
    for fault in faults:
        inner = conf.at((*conf.path, *fault.path))
        if fault.unknown_field or fault.warning:
            problems.append(Problem(inner, fault.code, fault.message, Severity.WARNING))
        else:
            text = f"{fault.path[0]} {fault.message}" if len(fault.path) == 1 else fault.message
            at = replace(inner, field=conf.at(conf.path).field)
            problems.append(Problem(at, "MSH008", text))
    wrong = any(problem.severity is Severity.ERROR for problem in problems)
    return None if wrong else Part(data, conf.path, conf.at), problems


def _of_type(backend: Part, types: Mapping[str, tuple[str, Callable[[Part], Faults]]]) -> Faults:
    known = types.get(backend["type"].text)
    if known is None:
        yield from _unknown_type(backend, tuple(types))
        return
    message, rules = known
    name = "config" if types is not _METRICS else "conf"
    conf, problems = _read(backend, name, message)
    yield from problems
    if conf is not None:
        yield from rules(conf)


def _unknown_type(backend: Part, types: tuple[str, ...]) -> Faults:
    text = f'type "{backend["type"].text[:60]}" is not known; use {" or ".join(types)}'
    yield backend["type"].fault("MSH005", text)


def _logging(backend: Part) -> Faults:
    yield from not_empty(backend["name"], "write the name by which policies refer to it")
    yield from _of_type(backend, _LOGGING)


def _tracing(backend: Part) -> Faults:
    yield from not_empty(backend["name"], "write the name by which policies refer to it")
    yield from in_range(backend["sampling"], 0, 100)
    yield from _of_type(backend, _TRACING)


def _metrics(backend: Part) -> Faults:
    yield from _of_type(backend, _METRICS)


def _tcp(conf: Part) -> Faults:
    address = conf["address"]
    host, port = host_and_port(address.text) or ("", "")
    if not host or not port:
        yield address.fault("MSH008", "address must be host:port, such as logs:5000")
    elif not port.isdecimal() or not 0 < int(port[:6]) <= PORT_MAX:
        yield address.warning("MSH008", f'no proxy can reach the port "{port[:20]}"; correct it')


def _file(conf: Part) -> Faults:
    yield from not_empty(conf["path"], "name the log file, such as /dev/stdout")


def _zipkin(conf: Part) -> Faults:
    version = conf["apiVersion"]
    if version.text and version.text not in _ZIPKIN_VERSIONS:
        text = f"apiVersion must be one of {', '.join(_ZIPKIN_VERSIONS)}"
        yield version.fault("MSH008", text)
    url = conf["url"]
    if not is_request_url(url.text) or not port_in_url(url.text):
        text = "url must be absolute and name its port, such as http://zipkin:9411/api/v2/spans"
        yield url.fault("MSH008", text)


def _datadog(conf: Part) -> Faults:
    yield from not_empty(conf["address"], "name the agent's host")
    port = conf["port"]
    if not 1 <= (port.number or 0) <= PORT_MAX:
        yield port.fault("MSH008", f"port must be 1 to {PORT_MAX}; write the agent's")


def _prometheus(conf: Part) -> Faults:
    skip = conf["skipMTLS"]
    if skip and conf["tls"]:
        mode = str(conf["tls"].fields.get("mode") or "activeMTLSBackend")
        if mode != _SAME_AS_SKIP[skip.value is True]:
            text = f"skipMTLS contradicts tls.mode {mode}; remove skipMTLS"
            yield conf.fault("MSH008", text)
            return
    expression = conf["envoy"]["filterRegex"]
    faults = list(re2.faults(expression.text))
    for fault in faults:
        yield expression.fault("MSH008", f"{fault}; correct it")
    if faults:
        return
    seen: set[str] = set()
    for name in (each["name"] for each in conf["aggregate"].items()):
        if name.text in seen:
            yield name.fault("MSH002", "another entry has this name; rename one")
        seen.add(name.text)
    for port in (conf["port"], *(each["port"] for each in conf["aggregate"].items())):
        if (port.number or 0) > PORT_MAX:
            yield port.warning("MSH008", f"port is {port.number}; no port is over {PORT_MAX}")


_LOGGING = {"tcp": ("TcpLoggingBackendConfig", _tcp), "file": ("FileLoggingBackendConfig", _file)}
_TRACING = {
    "zipkin": ("ZipkinTracingBackendConfig", _zipkin),
    "datadog": ("DatadogTracingBackendConfig", _datadog),
}
_METRICS = {"prometheus": ("PrometheusMetricsBackendConfig", _prometheus)}


# --- authorities ---


def _authorities(mtls: Part) -> Faults:
    """Kuma asks them once all else is right."""
    for backend in mtls["backends"].items():
        match backend["type"].text:
            case "builtin":
                yield from _builtin(backend)
            case "provided":
                if mtls["skipValidation"].value is not True:
                    yield from _provided(backend)
                yield from _not_in_git(backend["conf"])
            case _:
                yield from _unknown_type(backend, ("builtin", "provided"))
                return


def _builtin(backend: Part) -> Faults:
    name = backend["name"]
    whole = f"ca-builtin-cert-{name.text}"
    if not _DNS.fullmatch(whole) or len(name.text) > NAME_MAX or name.text.endswith(".new"):
        named = name.called((*backend.path, "conf", "mtls", "backends", "name"))
        text = "a backend's name has at most 47 lower-case letters, digits, '-', '_' and '.'"
        yield named.fault("MSH010", f"{text}; rename it")
    conf, problems = _read(backend, "conf", "BuiltinCertificateAuthorityConfig")
    yield from problems
    if conf is None:
        return
    expiration = conf["caCert"]["expiration"]
    if expiration.text and not is_lifetime(expiration.text):
        text = f'"{expiration.text[:60]}" is not a lifetime; write it like 24h or 10y'
        yield expiration.fault("MSH006", text)
    yield from _too_long(expiration)
    yield from _rsa_bits(conf["caCert"]["RSAbits"])


def _rsa_bits(bits: Part) -> Faults:
    count = bits.number or RSA_BITS_ENVOY
    if not RSA_BITS_LEAST <= count <= RSA_BITS_MOST:
        text = f"RSAbits must be {RSA_BITS_LEAST} to {RSA_BITS_MOST}; leave it out for 2048"
        yield bits.fault("MSH006", text)
    elif count < RSA_BITS_ENVOY:
        text = f"Envoy takes no certificate of an RSA key under {RSA_BITS_ENVOY} bits; make it 2048"
        yield bits.warning("MSH006", text)


def _provided(backend: Part) -> Faults:
    conf, problems = _read(backend, "conf", "ProvidedCertificateAuthorityConfig")
    yield from problems
    if conf is None:
        return
    found = [fault for name in ("cert", "key") for fault in _source(conf[name])]
    yield from found
    for name in () if found else ("cert", "key"):
        text = conf[name]["inlineString"]
        if text and not text.text:  # Kuma sees it when it makes a pair of the two.
            named = text.called((*conf.path, "cert"))
            yield named.fault("MSH008", f"{name} is empty; name a secret")


def _source(part: Part) -> Faults:
    given = part.given(*_SOURCES)
    if not given:
        text = f"{part.name} needs one of {', '.join(_SOURCES)}; name a secret"
        yield part.fault("MSH008", text)
    for source in given:
        if not source.text and source.name != "inlineString":
            yield source.fault("MSH008", f"{source.name} is empty; write it")


def _not_in_git(conf: Part) -> Faults:
    """Beyond Kuma: the repository neither chooses which files are read nor holds a key."""
    for part in (conf["cert"], conf["key"]):
        if part["file"].text:
            text = f"Git does not choose which files are read; use {part.name}: {{secret: NAME}}"
            yield part["file"].fault("MSH011", text)
    for name in ("inline", "inlineString"):
        if conf["key"][name].text:
            text = "a private key must not stand in Git; name a secret: key: {secret: NAME}"
            yield conf["key"][name].fault("MSH009", text)
