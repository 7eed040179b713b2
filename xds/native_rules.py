"""What Envoy's types ask of the values in them, beyond their shape: the rules that are annotated in
its API. Kept for the messages that clusters, listeners, filters, routes, endpoints and secrets are
made of; what stands in an Any is not asked.

A package, then `Message: field rule rule; field rule`. Numbers are numbers, and seconds of
durations. `each:`, `key:` and `value:` are of the entries of lists and maps. `one` is of a oneof:
one of it is set. `unasked` is a message whose own rules do not count there.
"""

from __future__ import annotations

import re
from functools import cache

Rules = dict[str, tuple[str, ...]]  # by field, or by oneof
_PACKAGE = re.compile(r"\S+")
_MESSAGE = re.compile(r"  (\S+): (.*)")

# Packages of a newer Envoy that Kuma 2.14.3's zones cannot read.
UNKNOWN_PACKAGES = frozenset(
    {
        "envoy.extensions.clusters.dynamic_modules.v3",
        "envoy.extensions.clusters.mcp_multicluster.v3",
        "envoy.extensions.clusters.original_dst.v3",
        "envoy.extensions.content_parsers.json.v3",
        "envoy.extensions.filters.http.a2a.v3",
        "envoy.extensions.filters.http.ai_protocol_manager.v3",
        "envoy.extensions.filters.http.bandwidth_share.v3",
        "envoy.extensions.filters.http.file_server.v3",
        "envoy.extensions.filters.http.filter_chain.v3",
        "envoy.extensions.filters.http.mcp_json_rest_bridge.v3",
        "envoy.extensions.filters.http.sse_to_metadata.v3",
        "envoy.extensions.filters.listener.set_filter_state.v3",
        "envoy.extensions.filters.network.tcp_bandwidth_limit.v3",
        "envoy.extensions.filters.udp.udp_proxy.session.ext_authz.v3",
        "envoy.extensions.formatter.dynamic_modules.v3",
        "envoy.extensions.formatter.file_content.v3",
        "envoy.extensions.formatter.generic_secret.v3",
        "envoy.extensions.health_checkers.dynamic_modules.v3",
        "envoy.extensions.load_balancing_policies.dynamic_modules.v3",
        "envoy.extensions.load_balancing_policies.load_aware_locality.v3",
        "envoy.extensions.matching.actions.transform_stat.v3",
        "envoy.extensions.matching.http.dynamic_modules.v3",
        "envoy.extensions.matching.input_matchers.dynamic_modules.v3",
        "envoy.extensions.network.dns_resolver.hickory.v3",
        "envoy.extensions.network.socket_interface.sockmap.v3",
        "envoy.extensions.stat_sinks.dynamic_modules.v3",
        "envoy.extensions.tracers.dynamic_modules.v3",
        "envoy.extensions.transport_sockets.dynamic_modules.v3",
        "envoy.extensions.transport_sockets.tls.cert_mappers.filter_state_override.v3",
        "envoy.extensions.transport_sockets.tls.cert_validator.dynamic_modules.v3",
        "envoy.extensions.upstreams.http.dynamic_modules.v3",
        "envoy.extensions.upstreams.http.reverse_tunnel.v3",
    }
)
# Types they can read, and the library cannot: what stands in them is not looked at.
UNREAD_TYPES = frozenset(
    {
        "xds.type.matcher.v3.CelMatcher",
        "xds.type.matcher.v3.HttpAttributesCelMatchInput",
        "xds.type.matcher.v3.IPMatcher",
        "xds.type.matcher.v3.ServerNameMatcher",
        "envoy.config.listener.v3.ListenerManager",
        "envoy.config.listener.v3.ValidationListenerManager",
        "envoy.config.listener.v3.ApiListenerManager",
        "envoy.extensions.filters.network.kafka_broker.v3.KafkaBroker",
        "envoy.extensions.filters.network.kafka_broker.v3.IdBasedBrokerRewriteRule",
        "envoy.extensions.filters.network.kafka_broker.v3.IdBasedBrokerRewriteSpec",
    }
)


@cache
def native_rules() -> dict[str, Rules]:
    """By the full name of the message."""
    found: dict[str, Rules] = {}
    package = ""
    whole = re.sub(r"(?<=,)\n +", "", _TABLE)
    for line in re.sub(r"\n {4,}", " ", whole).split("\n"):
        message = _MESSAGE.fullmatch(line)
        if message is None:
            package = line
            continue
        parts = [part.split() for part in message[2].split("; ")]
        found[f"{package}.{message[1]}"] = {name: tuple(rules) for name, *rules in parts}
    return found


_TABLE = """\
envoy.config.accesslog.v3
  AccessLogFilter: filter_specifier one
  AndFilter: filters items>=2
  ComparisonFilter: op known; value required
  DurationFilter: comparison required
  GrpcStatusFilter: statuses each:known
  HeaderFilter: header required
  LogTypeFilter: types each:known
  OrFilter: filters items>=2
  ResponseFlagFilter: flags
    each:in=LH,UH,UT,LR,UR,UF,UC,UO,NR,DI,FI,RL,UAEX,RLSE,DC,URX,SI,IH,DPE,
      UMSDR,RFCF,NFCF,DT,UPE,NC,OM,DF,DO,DR,UDO
  RuntimeFilter: runtime_key chars>=1
  StatusCodeFilter: comparison required
envoy.config.cluster.v3
  CircuitBreakers.Thresholds: priority known
  Cluster: name chars>=1; type known; connect_timeout >0; lb_policy known; dns_refresh_rate
    >0.001; dns_jitter >=0; dns_lookup_family known; cleanup_interval >0
  Cluster.CommonLbConfig.ConsistentHashingLbConfig: hash_balance_factor >=100
  Cluster.CustomClusterType: name chars>=1
  Cluster.LbSubsetConfig: fallback_policy known; metadata_fallback_policy known
  Cluster.LbSubsetConfig.LbSubsetSelector: fallback_policy known
  Cluster.LeastRequestLbConfig: choice_count >=2
  Cluster.MaglevLbConfig: table_size <=5000011
  Cluster.OriginalDstLbConfig: upstream_port_override <=65535
  Cluster.PreconnectPolicy: per_upstream_preconnect_ratio >=1 <=3; predictive_preconnect_ratio >=1
    <=3
  Cluster.RefreshRate: base_interval required >0.001; max_interval >0.001
  Cluster.RingHashLbConfig: minimum_ring_size <=8388608; hash_function known; maximum_ring_size
    <=8388608
  Cluster.TransportSocketMatch: name chars>=1
  Filter: name chars>=1
  OutlierDetection: interval >0; base_ejection_time >0; max_ejection_percent <=100;
    enforcing_consecutive_5xx <=100; enforcing_success_rate <=100;
    enforcing_consecutive_gateway_failure <=100; enforcing_consecutive_local_origin_failure <=100;
    enforcing_local_origin_success_rate <=100; failure_percentage_threshold <=100;
    enforcing_failure_percentage <=100; enforcing_failure_percentage_local_origin <=100;
    max_ejection_time >0
  UpstreamConnectionOptions.HappyEyeballsConfig: first_address_family_count >=1
envoy.config.common.mutation_rules.v3
  HeaderMutation: action one; remove header-value-loose
  HeaderMutation.RemoveOnMatch: key_matcher required
envoy.config.core.v3
  Address: address one
  ApiConfigSource: api_type known; transport_api_version known; request_timeout >0
  BackoffStrategy: base_interval required >=0.001; max_interval >0
  CidrRange: address_prefix chars>=1; prefix_len <=128
  ConfigSource: config_source_specifier one; resource_api_version known
  DataSource: specifier one; filename chars>=1; environment_variable chars>=1
  DnsResolutionConfig: resolvers items>=1
  EnvoyInternalAddress: address_name_specifier one
  EventServiceConfig: config_source_specifier one
  ExtensionConfigSource: config_source required unasked; type_urls items>=1
  ExtraSourceAddress: address required
  GrpcService: target_specifier one
  GrpcService.EnvoyGrpc: cluster_name chars>=1; authority bytes<=16384 header-value-loose
  GrpcService.GoogleGrpc: target_uri chars>=1; stat_prefix chars>=1
  GrpcService.GoogleGrpc.CallCredentials: credential_specifier one
  GrpcService.GoogleGrpc.CallCredentials.StsService: subject_token_path chars>=1;
    subject_token_type chars>=1
  GrpcService.GoogleGrpc.ChannelArgs.Value: value_specifier one
  GrpcService.GoogleGrpc.ChannelCredentials: credential_specifier one
  HeaderValue: key chars>=1 bytes<=16384 header-name-loose; value bytes<=16384 header-value-loose;
    raw_value bytes<=16384
  HeaderValueOption: header required; append_action known
  HealthCheck: health_checker one; timeout required >0; interval required >0; unhealthy_threshold
    required; healthy_threshold required; no_traffic_interval >0; no_traffic_healthy_interval >0;
    unhealthy_interval >0; unhealthy_edge_interval >0; healthy_edge_interval >0
  HealthCheck.CustomHealthCheck: name chars>=1
  HealthCheck.GrpcHealthCheck: authority header-value-loose; initial_metadata items<=1000
  HealthCheck.HttpHealthCheck: host header-value; path chars>=1 header-value; response_buffer_size
    >=0; request_headers_to_add items<=1000; request_headers_to_remove each:header-name-loose;
    codec_client_type known; method known not-in=6
  HealthCheck.Payload: payload one; text chars>=1
  HealthStatusSet: statuses each:known
  Http1ProtocolOptions.HeaderKeyFormat: header_format one
  Http2ProtocolOptions: max_concurrent_streams >=1 <=2147483647; initial_stream_window_size
    >=65535 <=2147483647; initial_connection_window_size >=65535 <=2147483647; max_outbound_frames
    >=1; max_outbound_control_frames >=1; max_inbound_window_update_frames_per_data_frame_sent >=1
  Http2ProtocolOptions.SettingsParameter: identifier required >=0 <=65535; value required
  HttpProtocolOptions: max_headers_count >=1; max_response_headers_kb >0 <=8192
  KeepaliveSettings: interval >=0.001; timeout required >=0.001; connection_idle_interval >=0.001
  Metadata: filter_metadata key:chars>=1; typed_filter_metadata key:chars>=1
  PathConfigSource: path chars>=1
  Pipe: path chars>=1; mode <=511
  ProxyProtocolPassThroughTLVs: tlv_type each:<256
  QuicKeepAliveSettings: initial_interval not-between=0,0.001
  QuicProtocolOptions: max_concurrent_streams >=1; initial_stream_window_size >=1 <=16777216;
    initial_connection_window_size >=1 <=25165824; num_timeouts_to_trigger_port_migration >=0 <=5;
    idle_network_timeout >=1
  QuicProtocolOptions.ConnectionMigrationSettings: max_time_on_non_default_network >=1
  QuicProtocolOptions.ConnectionMigrationSettings.MigrateIdleConnectionSettings:
    max_idle_time_before_migration >=1
  RateLimitSettings: fill_rate >0
  RetryPolicy.RetryHostPredicate: name chars>=1
  RetryPolicy.RetryPriority: name chars>=1
  RuntimeFeatureFlag: default_value required
  RuntimeFractionalPercent: default_value required
  SchemeHeaderTransformation: scheme_to_overwrite in=http,https
  SelfConfigSource: transport_api_version known
  SocketAddress: port_specifier one; protocol known; address chars>=1; port_value <=65535
  SocketOption: value one; state known
  SubstitutionFormatString: format one; json_format required; content_type header-value-loose
  TlvEntry: type <256
  TransportSocket: name chars>=1
  TypedExtensionConfig: name chars>=1; typed_config required
  UdpSocketConfig: max_rx_datagram_size >0 <65536
  UpstreamHttpProtocolOptions: override_auto_sni_header if-set header-name
  WatchedDirectory: path chars>=1
envoy.config.endpoint.v3
  ClusterLoadAssignment: cluster_name chars>=1
  ClusterLoadAssignment.Policy: overprovisioning_factor >0; endpoint_stale_after >0
  ClusterLoadAssignment.Policy.DropOverload: category chars>=1
  Endpoint.HealthCheckConfig: port_value <=65535
  LbEndpoint: load_balancing_weight >=1
  LocalityLbEndpoints: load_balancing_weight >=1; priority <=128
envoy.config.listener.v3
  Filter: name chars>=1
  FilterChainMatch: destination_port >=1 <=65535; source_type known; source_ports each:>=1
    each:<=65535
  Listener: max_connections_to_accept_per_socket_event >0
  Listener.ConnectionBalanceConfig: balance_type one
  ListenerFilter: name chars>=1
  ListenerFilterChainMatchPredicate: rule one; any_match is-true
  ListenerFilterChainMatchPredicate.MatchSet: rules items>=2
  QuicProtocolOptions: packets_to_read_to_connection_count_ratio >=1; save_cmsg_config items<=1;
    max_sessions_per_event_loop >0
envoy.config.route.v3
  ClusterSpecifierPlugin: extension required
  CookieMatcher: name chars>=1 bytes<=1024; string_match required
  Decorator: operation chars>=1
  DirectResponseAction: status >=200 <600
  HeaderMatcher: name chars>=1 header-name-loose; prefix_match chars>=1; suffix_match chars>=1;
    contains_match chars>=1
  HedgePolicy: initial_requests >=1
  InternalRedirectPolicy: redirect_response_codes items<=5; response_headers_to_copy unique
    each:header-name-loose
  QueryParameterMatcher: name chars>=1 bytes<=1024; string_match required
  RateLimit: stage <=10; actions items>=1
  RateLimit.Action: action_specifier one
  RateLimit.Action.DynamicMetaData: descriptor_key chars>=1; metadata_key required
  RateLimit.Action.GenericKey: descriptor_value chars>=1
  RateLimit.Action.HeaderValueMatch: descriptor_value chars>=1; headers items>=1
  RateLimit.Action.MaskedRemoteAddress: v4_prefix_mask_len <=32; v6_prefix_mask_len <=128
  RateLimit.Action.MetaData: descriptor_key chars>=1; metadata_key required; source known
  RateLimit.Action.QueryParameterValueMatch: descriptor_value chars>=1; query_parameters items>=1
  RateLimit.Action.QueryParameters: query_parameter_name chars>=1; descriptor_key chars>=1
  RateLimit.Action.RequestHeaders: header_name chars>=1 header-name-loose; descriptor_key chars>=1
  RateLimit.HitsAddend: number <=1000000000; format if-set prefix=% suffix=%
  RateLimit.Override: override_specifier one
  RateLimit.Override.DynamicMetadata: metadata_key required
  RedirectAction: host_redirect header-value-loose; path_redirect header-value-loose;
    prefix_rewrite header-value-loose; response_code known
  RetryPolicy.RateLimitedRetryBackOff: reset_headers items>=1; max_interval >0
  RetryPolicy.ResetHeader: name chars>=1 header-name-loose; format known
  RetryPolicy.RetryBackOff: base_interval required >0; max_interval >0
  RetryPolicy.RetryHostPredicate: name chars>=1
  RetryPolicy.RetryPriority: name chars>=1
  Route: action one; match required; request_headers_to_add items<=1000; request_headers_to_remove
    each:chars>=1 each:header-name-loose; response_headers_to_add items<=1000;
    response_headers_to_remove each:chars>=1 each:header-name-loose
  RouteAction: cluster_specifier one; cluster chars>=1; cluster_header chars>=1 header-name-loose;
    cluster_not_found_response_code known; prefix_rewrite header-value-loose; host_rewrite_literal
    header-value-loose; host_rewrite_header header-name-loose; priority known
  RouteAction.HashPolicy: policy_specifier one
  RouteAction.HashPolicy.Cookie: name chars>=1
  RouteAction.HashPolicy.CookieAttribute: name chars>=1 bytes<=16384 header-name-loose; value
    bytes<=16384 header-value-loose
  RouteAction.HashPolicy.FilterState: key chars>=1
  RouteAction.HashPolicy.Header: header_name chars>=1 header-name-loose
  RouteAction.HashPolicy.QueryParameter: name chars>=1
  RouteAction.RequestMirrorPolicy: cluster_header header-name-loose; request_headers_mutations
    items<=1000; host_rewrite_literal header-value-loose
  RouteAction.UpgradeConfig: upgrade_type chars>=1 header-value-loose
  RouteConfiguration: internal_only_headers each:header-name-loose; response_headers_to_add
    items<=1000; response_headers_to_remove each:header-name-loose; request_headers_to_add
    items<=1000; request_headers_to_remove each:header-name-loose
  RouteMatch: path_specifier one; safe_regex required; path_separated_prefix
    pattern=^[^?#]+[^?#/]$
  ScopedRouteConfiguration: name chars>=1; key required
  ScopedRouteConfiguration.Key: fragments items>=1
  ScopedRouteConfiguration.Key.Fragment: type one
  Vhds: config_source required
  VirtualCluster: name chars>=1
  VirtualHost: name chars>=1; domains items>=1 each:header-value-loose; require_tls known;
    request_headers_to_add items<=1000; request_headers_to_remove each:chars>=1
    each:header-name-loose; response_headers_to_add items<=1000; response_headers_to_remove
    each:chars>=1 each:header-name-loose
  WeightedCluster: clusters items>=1; header_name header-name-loose
  WeightedCluster.ClusterWeight: cluster_header header-name-loose; request_headers_to_add
    items<=1000; request_headers_to_remove each:header-name-loose; response_headers_to_add
    items<=1000; response_headers_to_remove each:header-name-loose; host_rewrite_literal
    header-value-loose
envoy.config.trace.v3
  Tracing.Http: name chars>=1
envoy.extensions.filters.network.http_connection_manager.v3
  HttpConnectionManager: route_specifier one; codec_type known; stat_prefix chars>=1; server_name
    header-value-loose; server_header_transformation known; max_request_headers_kb >0 <=8192;
    request_headers_timeout >=0; access_log_flush_interval >=0.001; via header-value-loose;
    forward_client_cert_details known
  HttpConnectionManager.HcmAccessLogOptions: access_log_flush_interval >=0.001
  HttpFilter: name chars>=1
  ResponseMapper: filter required; status_code >=200 <600; headers_to_add items<=1000
  ScopedRds: scoped_rds_config_source required
  ScopedRouteConfigurationsList: scoped_route_configurations items>=1
  ScopedRoutes: config_specifier one; name chars>=1; scope_key_builder required
  ScopedRoutes.ScopeKeyBuilder: fragments items>=1
  ScopedRoutes.ScopeKeyBuilder.FragmentBuilder: type one
  ScopedRoutes.ScopeKeyBuilder.FragmentBuilder.HeaderValueExtractor: name chars>=1
    header-name-loose
  ScopedRoutes.ScopeKeyBuilder.FragmentBuilder.HeaderValueExtractor.KvElement: separator chars>=1;
    key chars>=1
envoy.extensions.filters.network.tcp_proxy.v3
  TcpProxy: cluster_specifier one; stat_prefix chars>=1; max_connect_attempts >=1; hash_policy
    items<=1; max_downstream_connection_duration >=0.001; access_log_flush_interval >=0.001;
    upstream_connect_mode known; max_early_data_bytes <=1048576
  TcpProxy.TcpAccessLogOptions: access_log_flush_interval >=0.001
  TcpProxy.TunnelingConfig: hostname chars>=1; headers_to_add items<=1000
  TcpProxy.WeightedCluster: clusters items>=1
  TcpProxy.WeightedCluster.ClusterWeight: name chars>=1; weight >=1
envoy.extensions.transport_sockets.tls.v3
  CertificateProviderPluginInstance: instance_name chars>=1
  CertificateValidationContext: verify_certificate_spki each:chars>=44 each:bytes<=44;
    verify_certificate_hash each:chars>=64 each:bytes<=95; trust_chain_verification known;
    max_verify_depth <=100
  CommonTlsContext.CertificateProvider: config one; name chars>=1
  CommonTlsContext.CombinedCertificateValidationContext: default_validation_context required;
    validation_context_sds_secret_config required
  DownstreamTlsContext: session_timeout >=0 <4294967296; ocsp_staple_policy known
  PrivateKeyProvider: provider_name chars>=1
  SdsSecretConfig: name chars>=1
  SubjectAltNameMatcher: san_type known not-in=0; matcher required
  TlsKeyLog: path chars>=1
  TlsParameters: tls_minimum_protocol_version known; tls_maximum_protocol_version known;
    compliance_policies items<=1
  TlsSessionTicketKeys: keys items>=1
  UpstreamTlsContext: sni bytes<=255
envoy.service.runtime.v3
  Runtime: name chars>=1
envoy.type.http.v3
  PathTransformation.Operation: operation_specifier one
envoy.type.matcher.v3
  DoubleMatcher: match_pattern one
  FilterStateMatcher: matcher one; key chars>=1
  ListMatcher: match_pattern one
  MetadataMatcher: filter chars>=1; path items>=1; value required
  MetadataMatcher.PathSegment: segment one; key chars>=1
  OrMatcher: value_matchers items>=2
  RegexMatchAndSubstitute: pattern required; substitution header-value-loose
  RegexMatcher: regex chars>=1
  StringMatcher: match_pattern one; prefix chars>=1; suffix chars>=1; safe_regex required;
    contains chars>=1
  ValueMatcher: match_pattern one
envoy.type.metadata.v3
  MetadataKey: key chars>=1; path items>=1
  MetadataKey.PathSegment: segment one; key chars>=1
  MetadataKind: kind one
envoy.type.tracing.v3
  CustomTag: type one; tag chars>=1
  CustomTag.Environment: name chars>=1
  CustomTag.Header: name chars>=1 header-name-loose
  CustomTag.Literal: value chars>=1
envoy.type.v3
  FractionalPercent: denominator known
  HashPolicy: policy_specifier one
  HashPolicy.FilterState: key chars>=1
  Percent: value >=0 <=100
xds.core.v3
  Authority: name chars>=1
  CidrRange: address_prefix chars>=1; prefix_len <=128
  TypedExtensionConfig: name chars>=1; typed_config required
xds.type.matcher.v3
  Matcher.MatcherList: matchers items>=1
  Matcher.MatcherList.FieldMatcher: predicate required; on_match required
  Matcher.MatcherList.Predicate: match_type one
  Matcher.MatcherList.Predicate.PredicateList: predicate items>=2
  Matcher.MatcherList.Predicate.SinglePredicate: matcher one; input required
  Matcher.MatcherTree: tree_type one; input required
  Matcher.MatcherTree.MatchMap: map items>=1
  Matcher.OnMatch: on_match one
  RegexMatcher: engine_type one; google_re2 required; regex chars>=1
  StringMatcher: match_pattern one; prefix chars>=1; suffix chars>=1; safe_regex required;
    contains chars>=1"""
