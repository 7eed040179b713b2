"""A bootstrap request as a value: every key that kuma-dp 2.14 sends, with its type. Pure.

Keys that are not known are passed over, null is "not set"; a key of another type makes the request
unreadable, as it does for Kuma.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from reconciler.registration import NotAdmitted, unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

PORT_MAX = 65535
FEATURES_MAX = 100
# What an agent may tell about itself; it comes back in the node metadata of every ADS stream.
PASSED_ON = {
    "version": "version",
    "dynamicMetadata": "dynamicMetadata",
    "dataplaneConfig": "transparentProxy",
    "otelEnv": "otelEnvInventory",
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapRequest:
    """Names are those of facts/dataplane-wire.md 1.2. `metadata` are the objects that are passed
    on, under their names in the node metadata.
    """

    mesh: str
    name: str
    proxy_type: str
    token: str = field(repr=False)
    token_path: str
    resource: str
    workdir: str
    ca_cert: str
    dns_port: int
    readiness_port: int
    app_probe_proxy: bool
    ipv6: bool
    features: tuple[str, ...]
    metrics_cert_path: str
    metrics_key_path: str
    system_ca_path: str
    spire_socket_path: str
    redirects: bool  # its transparent proxy is on
    metadata: Mapping[str, object]


class _Mistyped(Exception):
    """A key holds a value of another type."""


def request_of(data: Mapping[str, object]) -> BootstrapRequest | NotAdmitted:
    """The request, or what in it cannot be read."""
    problem = unfit(data)
    if problem is not None:
        return NotAdmitted(f"the request {problem.reason}")
    try:
        return _request(data)
    except _Mistyped as error:
        return NotAdmitted(str(error))


def _request(data: Mapping[str, object]) -> BootstrapRequest:
    metrics = _typed(data, "metricsResources", dict, {})
    spire = _typed(data, "spireResources", dict, {})
    proxying = _typed(data, "dataplaneConfig", dict, {})
    passed_on = {key: _typed(data, key, dict, {}) for key in PASSED_ON}
    return BootstrapRequest(
        mesh=_typed(data, "mesh", str, ""),
        name=_typed(data, "name", str, ""),
        proxy_type=_typed(data, "proxyType", str, "") or "dataplane",
        token=_typed(data, "dataplaneToken", str, "").strip(),
        token_path=_typed(data, "dataplaneTokenPath", str, ""),
        resource=_typed(data, "dataplaneResource", str, ""),
        workdir=_typed(data, "workdir", str, ""),
        ca_cert=_typed(data, "caCert", str, ""),
        dns_port=_port(data, "dnsPort"),
        readiness_port=_port(data, "readinessPort"),
        app_probe_proxy=_typed(data, "appProbeProxyDisabled", bool, default=False),  # inverted name
        ipv6=_typed(data, "ipv6Enabled", bool, default=False),
        features=_features(data),
        metrics_cert_path=_typed(metrics, "certPath", str, ""),
        metrics_key_path=_typed(metrics, "keyPath", str, ""),
        system_ca_path=_typed(data, "systemCaPath", str, ""),
        spire_socket_path=_typed(spire, "socketPath", str, ""),
        redirects=_redirects(proxying),
        metadata={PASSED_ON[key]: value for key, value in passed_on.items() if value},
    )


def _typed(data: Mapping[str, object], key: str, kind: type[T], default: T) -> T:
    value = data.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise _Mistyped(f"{key}: must be {_KINDS[kind]}")
    return value


_KINDS: Mapping[type, str] = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    dict: "an object",
    list: "a list",
}


def _port(data: Mapping[str, object], key: str) -> int:
    found = _typed(data, key, int, 0)
    if isinstance(found, bool) or not 0 <= found <= PORT_MAX:
        raise _Mistyped(f"{key}: must be a port, 0 to {PORT_MAX}")
    return found


def _features(data: Mapping[str, object]) -> tuple[str, ...]:
    found = _typed(data, "features", list, [])
    if len(found) > FEATURES_MAX or not all(isinstance(feature, str) for feature in found):
        raise _Mistyped(f"features: must be a list of at most {FEATURES_MAX} texts")
    return tuple(cast("list[str]", found))


def _redirects(proxying: Mapping[str, object]) -> bool:
    """As kuma-dp says it: an inbound or outbound redirect that is on."""
    redirect = _typed(proxying, "redirect", dict, {})
    ways = (_typed(redirect, way, dict, {}) for way in ("inbound", "outbound"))
    return any(way.get("enabled") is True for way in ways)
