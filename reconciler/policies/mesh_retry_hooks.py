"""What MeshRetry sets on outbounds: in routes, and in TCP proxies."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import Metadata
from envoy_data_plane.envoy.config.route.v3 import (
    HeaderMatcher,
    RetryPolicy,
    RetryPolicyRateLimitedRetryBackOff,
    RetryPolicyResetHeader,
    RetryPolicyResetHeaderFormat,
    RetryPolicyRetryBackOff,
    RetryPolicyRetryHostPredicate,
    RetryPolicyRetryPriority,
)
from envoy_data_plane.envoy.extensions.retry.host.omit_host_metadata.v3 import (
    OmitHostMetadataConfig,
)
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities.v3 import (
    PreviousPrioritiesConfig,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from reconciler.policies.effect import Effect
from reconciler.policies.mesh_retry import POLICY, HostRule, Retries, RetryConf, waits
from xds.build.endpoints import LB_METADATA, tags_struct
from xds.build.routes import header_matcher
from xds.hooks import Hooks
from xds.message import PARTS, any_of, new, part
from xds.view import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from envoy_data_plane.envoy.config.route.v3 import Route
    from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import TcpProxy

_METHOD = "HttpMethod"
_HTTP_DEFAULT = ("gateway-error", "connect-failure", "refused-stream")
_GRPC_DEFAULT = (
    "cancelled",
    "connect-failure",
    "gateway-error",
    "refused-stream",
    "reset",
    "resource-exhausted",
    "unavailable",
)
_WORDS = {
    "5xx": "5xx",
    "GatewayError": "gateway-error",
    "Reset": "reset",
    "Retriable4xx": "retriable-4xx",
    "ConnectFailure": "connect-failure",
    "EnvoyRatelimited": "envoy-ratelimited",
    "RefusedStream": "refused-stream",
    "Http3PostConnectFailure": "http3-post-connect-failure",
}
_GRPC_WORDS = {
    "Canceled": "cancelled",  # Envoy writes it so (D5)
    "DeadlineExceeded": "deadline-exceeded",
    "Internal": "internal",
    "ResourceExhausted": "resource-exhausted",
    "Unavailable": "unavailable",
}


def on_route(route: Route, conf: RetryConf) -> None:
    if route.route is None:
        return
    if conf.http is not None:
        route.route.retry_policy = _http(conf.http)
    elif conf.grpc is not None:
        route.route.retry_policy = _grpc(conf.grpc)


def on_tcp_proxy(proxy: TcpProxy, conf: RetryConf) -> None:
    proxy.max_connect_attempts = conf.tcp


@lru_cache(PARTS)
def _grpc(retries: Retries) -> RetryPolicy:
    words = [_GRPC_WORDS[reason] for reason in retries.on or () if reason in _GRPC_WORDS]
    found = _of_both(retries)
    found.retry_on = ",".join(words or _GRPC_DEFAULT)
    return part(found)


@lru_cache(PARTS)
def _http(retries: Retries) -> RetryPolicy:
    reasons = retries.on or ()
    words = [_WORDS[reason] for reason in reasons if reason in _WORDS] or list(_HTTP_DEFAULT)
    statuses = [int(reason) for reason in reasons if reason.isdecimal()]
    if statuses:
        words.append("retriable-status-codes")
    if retries.response_headers:
        words.append("retriable-headers")
    found = _of_both(retries)
    found.retry_on = ",".join(words)
    found.retriable_status_codes = statuses
    found.retriable_headers = [header_matcher(h) for h in retries.response_headers or ()]
    found.retriable_request_headers = list(_of_requests(retries))
    hosts = retries.hosts or ()
    found.retry_host_predicate = [p for rule in hosts for p in _host_predicate(rule)]
    found.retry_priority = next((p for rule in hosts for p in _priority(rule)), None)
    found.host_selection_retry_max_attempts = retries.host_attempts or 0
    return part(found)


def _of_both(retries: Retries) -> RetryPolicy:
    found = new(RetryPolicy, num_retries=retries.number, per_try_timeout=retries.per_try)
    spans = waits(retries)
    if spans is not None:
        found.retry_back_off = new(
            RetryPolicyRetryBackOff, base_interval=spans[0], max_interval=spans[1]
        )
    if retries.reset_headers:
        found.rate_limited_retry_back_off = new(
            RetryPolicyRateLimitedRetryBackOff,
            reset_headers=[
                new(RetryPolicyResetHeader, name=name, format=_format(time_of_day))
                for name, time_of_day in retries.reset_headers
            ],
            max_interval=retries.longest_limited_wait,
        )
    return found


def _format(time_of_day: bool) -> RetryPolicyResetHeaderFormat:
    formats = RetryPolicyResetHeaderFormat
    return formats.UNIX_TIMESTAMP if time_of_day else formats.SECONDS


def _of_requests(retries: Retries) -> Iterator[HeaderMatcher]:
    """One of which a request must have, if there is any."""
    for reason in retries.on or ():
        if reason.startswith(_METHOD):
            method = new(StringMatcher, exact=reason.removeprefix(_METHOD).upper())
            yield new(HeaderMatcher, name=":method", string_match=method)
    yield from map(header_matcher, retries.request_headers or ())


def _host_predicate(rule: HostRule) -> Iterator[RetryPolicyRetryHostPredicate]:
    if rule.predicate == "OmitPreviousHosts":
        yield new(
            RetryPolicyRetryHostPredicate,
            name="envoy.retry_host_predicates.previous_hosts",
            typed_config=any_of(new(PreviousHostsPredicate)),
        )
    elif rule.predicate == "OmitHostsWithTags":
        metadata = new(Metadata, filter_metadata={LB_METADATA: tags_struct(rule.tags)})
        yield new(
            RetryPolicyRetryHostPredicate,
            name="envoy.retry_host_predicates.omit_host_metadata",
            typed_config=any_of(new(OmitHostMetadataConfig, metadata_match=metadata)),
        )


def _priority(rule: HostRule) -> Iterator[RetryPolicyRetryPriority]:
    if rule.predicate == "OmitPreviousPriorities":
        config = new(PreviousPrioritiesConfig, update_frequency=rule.frequency)
        yield new(
            RetryPolicyRetryPriority,
            name="envoy.retry_priorities.previous_priorities",
            typed_config=any_of(config),
        )


def on_outbound(conf: RetryConf, protocol: Protocol) -> RetryConf | None:
    """What concerns a destination of this protocol. HTTP/2 is HTTP (D4). None: nothing does."""
    if not protocol.is_http:
        return RetryConf(tcp=conf.tcp) if conf.tcp is not None else None
    grpc = protocol is Protocol.GRPC
    retries = conf.grpc if grpc else conf.http
    if retries is None or retries.number == 0:
        return None
    return RetryConf(grpc=retries) if grpc else RetryConf(http=retries)


EFFECT = Effect(
    kind=POLICY.kind,
    hooks=Hooks(policy=POLICY.slug, on_route=on_route, on_tcp_proxy=on_tcp_proxy),
    on_outbound=on_outbound,
)
