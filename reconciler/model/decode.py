"""Plain JSON data as typed specs, for the kinds that are no policies. Pure.

The data has passed the kind's schema, or came over the wire: what cannot be understood is a
DecodeError with the path in the document, never a guess.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import cast

from reconciler.model.spec import CaBackend, CaSource, MeshSpec, Tags, ZoneSpec

Fields = Mapping[str, object]
DAY_S = 86400
CERTIFICATE_S = DAY_S
CA_LIFETIME_S = 10 * 365 * DAY_S
RSA_BITS = 2048
LIFETIME_MAX_S = 100 * 365 * DAY_S
_LIFETIME = re.compile(r"([0-9]{1,1000})(ms|y|w|d|h|m|s)")
_LIFETIME_S = {
    "y": 365 * DAY_S,
    "w": 7 * DAY_S,
    "d": DAY_S,
    "h": 3600,
    "m": 60,
    "s": 1,
    "ms": 0.001,
}


class DecodeError(ValueError):
    """`path` is dotted, from the top of the spec."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


def fields_of(value: object, path: str) -> Fields:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DecodeError(path, "must be an object")
    return cast("Fields", value)


def list_of(value: object, path: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise DecodeError(path, "must be a list")
    return value


def text_of(value: object, path: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DecodeError(path, "must be a string")
    return value


def number_of(value: object, path: str) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise DecodeError(path, "must be a whole number")
    return value


def flag_of(value: object, path: str, *, default: bool = False) -> bool:
    if value is None:
        return default
    if not isinstance(value, bool):
        raise DecodeError(path, "must be true or false")
    return value


def tags_of(value: object, path: str) -> Tags:
    found = fields_of(value, path)
    return tuple(sorted((key, text_of(text, f"{path}.{key}")) for key, text in found.items()))


# --- Mesh and Zone ---


def decode_mesh(data: Fields) -> MeshSpec:
    mtls = fields_of(data.get("mtls"), "mtls")
    backends = tuple(
        _backend(fields_of(item, f"mtls.backends[{i}]"), f"mtls.backends[{i}]")
        for i, item in enumerate(list_of(mtls.get("backends"), "mtls.backends"))
    )
    enabled = text_of(mtls.get("enabledBackend"), "mtls.enabledBackend")
    found = next((backend for backend in backends if enabled and backend.name == enabled), None)
    if enabled and found is None:
        raise DecodeError("mtls.enabledBackend", f'no backend is named "{enabled}"')
    routing = fields_of(data.get("routing"), "routing")
    networking = fields_of(data.get("networking"), "networking")
    outbound = fields_of(networking.get("outbound"), "networking.outbound")
    services = fields_of(data.get("meshServices"), "meshServices")
    skipped = list_of(data.get("skipCreatingInitialPolicies"), "skipCreatingInitialPolicies")
    return MeshSpec(
        mtls=found,
        backends=backends,
        locality_aware=flag_of(routing.get("localityAwareLoadBalancing"), "routing"),
        zone_egress=flag_of(routing.get("zoneEgress"), "routing.zoneEgress"),
        outside_forbidden=flag_of(routing.get("defaultForbidMeshExternalServiceAccess"), "routing"),
        passthrough=flag_of(outbound.get("passthrough"), "networking.outbound", default=True),
        mesh_services_mode=_mode(services.get("mode")),
        skip_initial_policies=tuple(text_of(x, "skipCreatingInitialPolicies") for x in skipped),
    )


def _mode(value: object) -> str:
    """A number that no word stands for is Kuma's way, too, to say the default."""
    return value if isinstance(value, str) and value else "Disabled"


def _backend(data: Fields, path: str) -> CaBackend:
    rotation = fields_of(fields_of(data.get("dpCert"), path).get("rotation"), path)
    own = fields_of(data.get("conf"), path)
    conf = fields_of(own.get("caCert"), f"{path}.conf.caCert")
    certificate_s = lifetime_s(rotation.get("expiration"), f"{path}.dpCert.rotation.expiration")
    ca_s = lifetime_s(conf.get("expiration"), f"{path}.conf.caCert.expiration")
    return CaBackend(
        name=text_of(data.get("name"), f"{path}.name"),
        type=text_of(data.get("type"), f"{path}.type"),
        permissive=data.get("mode") == "PERMISSIVE",
        certificate_s=certificate_s or CERTIFICATE_S,
        rsa_bits=_rsa_bits(conf, f"{path}.conf.caCert.RSAbits"),
        ca_lifetime_s=ca_s or CA_LIFETIME_S,
        cert=source_of(own.get("cert"), f"{path}.conf.cert"),
        key=source_of(own.get("key"), f"{path}.conf.key"),
    )


def source_of(value: object, path: str) -> CaSource | None:
    """A Kuma data source. None for a file, too: it would be one of the disk of every control plane,
    and what comes over the wire does not choose which of them are read.
    """
    found = fields_of(value, path)
    if found.get("inlineString") is not None:  # Of several, Kuma takes the last of its message.
        return CaSource(inline=text_of(found["inlineString"], path).encode())
    if found.get("inline") is not None:
        text = text_of(found["inline"], path).replace("\n", "").replace("\r", "")
        try:
            return CaSource(inline=base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise DecodeError(f"{path}.inline", "must be base64") from error
    if found.get("file") is not None:
        return None
    name = text_of(found.get("secret"), f"{path}.secret")
    return CaSource(name) if name else None


def _rsa_bits(conf: Fields, path: str) -> int:
    """`conf` travels as a protobuf Struct, whose numbers are all floats; in quotes is one, too."""
    bits = conf.get("RSAbits")
    if isinstance(bits, str) and bits.strip().isdecimal():
        return int(bits) or RSA_BITS
    if isinstance(bits, float) and bits.is_integer():
        return int(bits) or RSA_BITS
    return number_of(bits, path) or RSA_BITS


def lifetime_s(value: object, path: str) -> int:
    """A number with one unit of y, w, d, h, m, s, ms, or "0"; 0 when absent. Not over 100 years:
    what a certificate can say ends somewhere.
    """
    text = text_of(value, path)
    if text != "" and not is_lifetime(text):
        raise DecodeError(path, f'"{text}" is not a lifetime such as 24h or 10d')
    return min(seconds_of(text), LIFETIME_MAX_S)


def seconds_of(lifetime: str) -> int:
    found = _LIFETIME.fullmatch(lifetime)
    return int(int(found[1]) * _LIFETIME_S[found[2]]) if found else 0


def is_lifetime(value: object) -> bool:
    return isinstance(value, str) and (value == "0" or _LIFETIME.fullmatch(value) is not None)


def decode_zone(data: Fields) -> ZoneSpec:
    return ZoneSpec(enabled=flag_of(data.get("enabled"), "enabled", default=True))
