"""The Envoy bootstrap of one proxy: a pure function from a frozen input to JSON text (which is YAML
as well).

Keys and shapes are those a Kuma 2.14 control plane gives its data plane proxies, so that tools
which read the node metadata find what they know. ADS is delta for who asks for it.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.names import ACCESS_LOG_CLUSTER, ADS_CLUSTER

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, object]

ADMIN_PORT = 9901
DELTA = "feature-delta-grpc"
CONNECT_TIMEOUT = "1s"
CP_VALIDATION = "cp_validation_ctx"
UNIFIED = {ADS_CLUSTER: "system_ads", ACCESS_LOG_CLUSTER: "system_access_log_sink"}
SOCKET_PATH_MAX = 98  # characters before ".sock"; a unix socket path holds 107


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapInput:
    """What the bootstrap depends on. Values of the proxy's host are as its request sent them; 0 and
    "" are "not set".

    `metadata` are further node metadata keys as JSON data, e.g. `version`, `dynamicMetadata`,
    `transparentProxy`, `otelEnvInventory`; keys that this module computes win over them.
    """

    mesh: str  # empty for a zone ingress or egress
    name: str
    cluster: str  # the first kuma.io/service value, "ingress" or "egress"; "" becomes "unknown"
    xds_host: str  # name or IP of the control plane as the proxy reaches it; also the SAN to expect
    xds_port: int
    ca_pem: str
    token: str = field(default="", repr=False)  # raw, without a scheme
    proxy_type: str = "dataplane"
    resource_json: str = ""  # the Dataplane, ZoneIngress or ZoneEgress as JSON
    workdir: str = ""
    admin_port: int = ADMIN_PORT
    dns_port: int = 0
    readiness_port: int = 0
    app_probe_proxy: bool = False
    ipv6: bool = False
    features: tuple[str, ...] = ()
    metrics_cert_path: str = ""
    metrics_key_path: str = ""
    system_ca_path: str = ""
    spire_socket_path: str = ""
    access_log_sink: bool = False  # logs go through the proxy's agent, by a socket in the workdir
    health: bool = False  # HDS: the proxy reports the health of its applications
    token_path: str = (
        ""  # on the proxy's host: Envoy reads it anew for each stream; instead of `token`
    )
    unified_names: bool = False  # our clusters begin with "system_"
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def node_id(self) -> str:
        """`<mesh>.<name>`; `.<name>` for zone proxies. The first dot separates."""
        return f"{self.mesh}.{self.name}"


def bootstrap(given: BootstrapInput) -> str:
    """The document as JSON text with sorted keys: equal inputs give equal text."""
    return json.dumps(bootstrap_document(given), sort_keys=True, separators=(",", ":"))


def bootstrap_document(given: BootstrapInput) -> Json:
    """envoy.config.bootstrap.v3.Bootstrap as JSON data."""
    clusters = [] if given.token_path else [_ads_cluster(given)]
    if given.access_log_sink:
        clusters.append(_access_log_sink(given))
    return {
        **({"hdsConfig": _api(given, "GRPC")} if given.health else {}),
        "node": {
            "id": given.node_id,
            "cluster": given.cluster or "unknown",
            "metadata": _metadata(given),
        },
        "admin": _admin(given),
        "layeredRuntime": {
            "layers": [
                {
                    "name": "kuma",
                    "staticLayer": {
                        "re2.max_program_size.error_level": 4294967295,
                        "re2.max_program_size.warn_level": 1000,
                    },
                }
            ]
        },
        "defaultRegexEngine": {
            "name": "envoy.regex_engines.google_re2",
            "typedConfig": {
                "@type": "type.googleapis.com/envoy.extensions.regex_engines.v3.GoogleRE2"
            },
        },
        "statsConfig": {"statsTags": _stats_tags()},
        "dynamicResources": _dynamic_resources(given),
        "staticResources": {"secrets": [_validation(given)], "clusters": clusters},
    }


def _metadata(given: BootstrapInput) -> Json:
    """Flat keys: the dots are part of them. Ports are strings."""
    known: Json = {
        "version": {},
        **given.metadata,
        "features": list(given.features),
        "workdir": given.workdir,
        "metricsCertPath": given.metrics_cert_path,
        "metricsKeyPath": given.metrics_key_path,
        "systemCaPath": given.system_ca_path,
        "spireAgent.socketPath": given.spire_socket_path,
        "ipv6Enabled": given.ipv6,
    }
    optional = {
        "dataplane.resource": given.resource_json,
        "dataplane.proxyType": given.proxy_type,
        "dataplane.dns.port": str(given.dns_port or ""),
        "dataplane.readinessReporter.port": str(given.readiness_port or ""),
        "dataplane.appProbeProxy.enabled": "true" if given.app_probe_proxy else "",
        "dataplane.admin.port": str(given.admin_port or ""),
        "dataplane.admin.address": "127.0.0.1" if given.admin_port else "",
        "dataplane.admin.socketPath": admin_socket(given.workdir),
    }
    return known | {key: value for key, value in optional.items() if value}


def admin_socket(workdir: str) -> str:
    """Path of Envoy's admin socket; empty without a workdir, then admin listens on TCP."""
    return _socket(workdir, "kuma-envoy-admin") if workdir else ""


def _socket(workdir: str, name: str) -> str:
    return f"{workdir}/{name}"[:SOCKET_PATH_MAX] + ".sock"


def _admin(given: BootstrapInput) -> Json:
    address: Json = _socket_address("127.0.0.1", given.admin_port or ADMIN_PORT)
    if given.workdir:
        address = {"pipe": {"path": admin_socket(given.workdir), "mode": 0o600}}
    return {
        "address": address,
        "accessLog": [
            {
                "name": "envoy.access_loggers.file",
                "typedConfig": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": "/dev/null",
                },
            }
        ],
    }


def _dynamic_resources(given: BootstrapInput) -> Json:
    # 0s: Envoy waits for the first answer without limit rather than start with nothing.
    ads = {"ads": {}, "resourceApiVersion": "V3", "initialFetchTimeout": "0s"}
    variant = "DELTA_GRPC" if DELTA in given.features else "GRPC"
    return {"ldsConfig": ads, "cdsConfig": ads, "adsConfig": _api(given, variant)}


def _api(given: BootstrapInput, variant: str) -> Json:
    """How Envoy reaches a service of the control plane."""
    return {
        "apiType": variant,
        "transportApiVersion": "V3",
        "setNodeOnFirstMessageOnly": True,
        "grpcServices": [_reloading(given) if given.token_path else _with_token(given)],
    }


def _with_token(given: BootstrapInput) -> Json:
    service: Json = {"envoyGrpc": {"clusterName": _name(given, ADS_CLUSTER)}}
    if given.token:
        service["initialMetadata"] = [{"key": "authorization", "value": given.token}]
    return service


def _reloading(given: BootstrapInput) -> Json:
    """Google's gRPC client, the only one of Envoy's that reads a token from a file: one that is
    replaced there counts from the next stream on.
    """
    credentials = "envoy.grpc_credentials.file_based_metadata"
    secret = {
        "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
        "secretData": {"filename": given.token_path},
    }
    arguments = {
        "grpc.keepalive_time_ms": 10_000,
        "grpc.keepalive_timeout_ms": 30_000,
        "grpc.http2.max_pings_without_data": 0,
        "grpc.max_receive_message_length": 4 * 1024 * 1024,
    }
    host = _unbracketed(given.xds_host)
    return {
        "googleGrpc": {
            "targetUri": f"[{host}]:{given.xds_port}"
            if ":" in host
            else f"{host}:{given.xds_port}",
            "statPrefix": "ads",
            "credentialsFactoryName": credentials,
            "callCredentials": [{"fromPlugin": {"name": credentials, "typedConfig": secret}}],
            "channelCredentials": {"sslCredentials": {"rootCerts": {"inlineString": given.ca_pem}}},
            "channelArgs": {
                "args": {name: {"intValue": str(value)} for name, value in arguments.items()}
            },
        }
    }


def _name(given: BootstrapInput, cluster: str) -> str:
    return UNIFIED[cluster] if given.unified_names else cluster


def _ads_cluster(given: BootstrapInput) -> Json:
    # All addresses of a name are tried: Envoy would use the IPv6 one alone where there are both,
    # and wait for ever for a server that listens on IPv4 only.
    by_name: Json = {"type": "LOGICAL_DNS", "dnsLookupFamily": "ALL"}
    return {
        "name": _name(given, ADS_CLUSTER),
        **({"type": "STATIC"} if _ip(given.xds_host) else by_name),
        "connectTimeout": CONNECT_TIMEOUT,
        "typedExtensionProtocolOptions": _http2(),
        "upstreamConnectionOptions": {
            "tcpKeepalive": {"keepaliveProbes": 3, "keepaliveTime": 10, "keepaliveInterval": 10}
        },
        "loadAssignment": _assignment(
            _name(given, ADS_CLUSTER), _socket_address(_unbracketed(given.xds_host), given.xds_port)
        ),
        "transportSocket": {
            "name": "envoy.transport_sockets.tls",
            "typedConfig": {
                "@type": "type.googleapis.com/"
                "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": _unbracketed(given.xds_host),
                "commonTlsContext": {
                    "tlsParams": {"tlsMinimumProtocolVersion": "TLSv1_2"},
                    "validationContextSdsSecretConfig": {"name": CP_VALIDATION},
                },
            },
        },
    }


def _validation(given: BootstrapInput) -> Json:
    exact = {"exact": _unbracketed(given.xds_host)}
    return {
        "name": CP_VALIDATION,
        "validationContext": {
            "trustedCa": {"inlineString": given.ca_pem},
            "matchTypedSubjectAltNames": [
                {"sanType": "DNS", "matcher": exact},
                {"sanType": "IP_ADDRESS", "matcher": exact},
            ],
        },
    }


def _access_log_sink(given: BootstrapInput) -> Json:
    path = _socket(given.workdir, f"kuma-al-{given.name}-{given.mesh}")
    name = _name(given, ACCESS_LOG_CLUSTER)
    return {
        "name": name,
        "type": "STATIC",
        "connectTimeout": CONNECT_TIMEOUT,
        "typedExtensionProtocolOptions": _http2(),
        "loadAssignment": _assignment(name, {"pipe": {"path": path}}),
    }


def _http2() -> Json:
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicitHttpConfig": {"http2ProtocolOptions": {}},
        }
    }


def _assignment(cluster: str, address: Json) -> Json:
    return {
        "clusterName": cluster,
        "endpoints": [{"lbEndpoints": [{"endpoint": {"address": address}}]}],
    }


def _socket_address(address: str, port: int) -> Json:
    return {"socketAddress": {"address": address, "portValue": port}}


def _unbracketed(host: str) -> str:
    return host.removeprefix("[").removesuffix("]")


def _ip(host: str) -> bool:
    try:
        ipaddress.ip_address(_unbracketed(host))
    except ValueError:
        return False
    return True


def _stats_tags() -> list[Json]:
    """Tag extractors: the first group is cut out of the statistic's name, the second is the tag's
    value.
    """
    return [
        {"tagName": name, "regex": regex}
        for name, regex in (
            ("name", r"^grpc\.(([^.]+)\.)"),
            ("status", r"^grpc\..*streams_closed(_(\d+))$"),
            ("kafka_name", r"^kafka(\.([^.]+))\."),
            ("kafka_type", r"^kafka\.[^.]+\.[^.]+\.(([a-z_]+?)(_duration)?)$"),
            ("worker", r"(worker_(\d+)\.)"),
            ("listener", r"^((.+?)\.)rbac\."),
        )
    ]
