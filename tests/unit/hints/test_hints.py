"""Hints: references to nothing, policies that select nothing, policies that lose."""

from __future__ import annotations

from textwrap import dedent

import pytest

from reconciler.defaults import with_warnings
from reconciler.hints import found
from reconciler.hints.found import with_hints
from reconciler.load import Blob, LoadMemo, load

MESH = "type: Mesh\nname: default\nskipCreatingInitialPolicies: ['*']\n"
HOST = """\
    type: MeshExternalService
    mesh: default
    name: mail
    spec:
      match: {type: HostnameGenerator, port: 25, protocol: tcp}
      endpoints: [{address: mail.example.com, port: 25}]
"""


def hints(*files: str, mesh: str = MESH) -> list[str]:
    texts = {f"{chr(97 + n)}.yaml": dedent(text) for n, text in enumerate(files)}
    blobs = {path: Blob("", t.encode()) for path, t in {"mesh.yaml": mesh, **texts}.items()}
    loaded = with_hints(with_warnings(load(blobs, LoadMemo())), blobs)
    return [f"{p} [{p.at.field}]" for p in loaded.problems]


def codes(*files: str, mesh: str = MESH) -> list[str]:
    return [line.split()[1] for line in hints(*files, mesh=mesh)]


def timeout(name: str, more: str = "", target: str = "{kind: Mesh}", value: str = "1s") -> str:
    return f"""\
        type: MeshTimeout
        mesh: default
        name: {name}
        {more}
        spec:
          targetRef: {{kind: Dataplane, labels: {{app: web}}}}
          to:
            - targetRef: {target}
              default: {{connectionTimeout: {value}}}
        """


# --- references ---


def test_a_reference_to_nothing_is_told_at_its_name() -> None:
    lines = hints(timeout("t", target="{kind: MeshExternalService, name: mail}"))
    assert lines == [
        'a.yaml:8:52: REF001 warning: there is no MeshExternalService "mail" in mesh default; '
        "correct the name, or add it to the repository [spec.to[0].targetRef.name]"
    ]


def test_what_is_there_is_not_told_of() -> None:
    assert codes(timeout("t", target="{kind: MeshExternalService, name: mail}"), HOST) == []


def test_a_resource_is_known_by_its_display_name_as_well() -> None:
    shown = HOST.replace(
        "    name: mail", "    name: mail\n    labels: {kuma.io/display-name: post}"
    )
    for name in ("mail", "post"):
        assert (
            codes(shown, timeout("t", target=f"{{kind: MeshExternalService, name: {name}}}")) == []
        )


def test_what_another_mesh_has_is_nothing_here() -> None:
    other = HOST.replace("mesh: default", "mesh: other")
    mesh = f"{MESH}---\ntype: Mesh\nname: other\n"
    text = timeout("t", target="{kind: MeshExternalService, name: mail}")
    assert codes(text, other, mesh=mesh) == ["REF001"]


def test_services_are_made_by_zones_and_may_have_any_name() -> None:
    assert codes(timeout("t", target="{kind: MeshService, name: mail}")) == []


def test_a_namespace_is_one_of_a_zone() -> None:
    ref = "{kind: MeshExternalService, name: mail, namespace: shop}"
    assert codes(timeout("t", target=ref)) == []


def test_backends_of_routes_are_references() -> None:
    route = """\
        type: MeshHTTPRoute
        mesh: default
        name: r
        spec:
          targetRef: {kind: Mesh}
          to:
            - targetRef: {kind: MeshService, name: web}
              rules:
                - matches: [{path: {type: PathPrefix, value: /}}]
                  default:
                    backendRefs:
                      - {kind: MeshExternalService, name: mail}
                      - {kind: MeshExternalService, name: post}
        """
    assert [line.split()[0] for line in hints(route)] == ["a.yaml:12:51:", "a.yaml:13:51:"]
    assert codes(route, HOST) == ["REF001"]


def test_a_policy_for_a_route_that_is_none_selects_nothing() -> None:
    text = """\
        type: MeshTimeout
        mesh: default
        name: t
        spec:
          targetRef: {kind: MeshHTTPRoute, name: gone}
          to: [{targetRef: {kind: Mesh}, default: {http: {requestTimeout: 1s}}}]
        """
    (line,) = hints(text)
    assert 'no MeshHTTPRoute "gone" in mesh default, so that this policy selects nothing' in line


def test_a_multi_zone_service_has_the_ports_that_it_lists() -> None:
    service = """\
        type: MeshMultiZoneService
        mesh: default
        name: web
        spec:
          selector: {meshService: {matchLabels: {app: web}}}
          ports: [{name: main, port: 80, appProtocol: http}]
        """
    ref = "{{kind: MeshMultiZoneService, name: web, sectionName: {}}}"
    assert codes(service, timeout("t", target=ref.format("main"))) == []
    assert codes(service, timeout("t", target=ref.format("admin"))) == ["REF002"]
    route = """\
        type: MeshHTTPRoute
        mesh: default
        name: r
        spec:
          to:
            - targetRef: {{kind: MeshService, name: x}}
              rules:
                - matches: [{{path: {{type: PathPrefix, value: /}}}}]
                  default:
                    backendRefs: [{{kind: MeshMultiZoneService, name: web, port: {}}}]
        """
    assert codes(service, route.format(80)) == []
    assert codes(service, route.format(81)) == ["REF002"]


def test_a_legacy_log_names_a_backend_of_its_mesh() -> None:
    log = """\
        type: TrafficLog
        mesh: default
        name: l
        sources: [{match: {kuma.io/service: '*'}}]
        destinations: [{match: {kuma.io/service: '*'}}]
        conf: {backend: file}
        """
    mesh = f"{MESH}logging: {{backends: [{{name: file, type: file, conf: {{path: /tmp/x}}}}]}}\n"
    assert hints(log)[0].endswith("[conf.backend]")
    assert codes(log) == ["REF001"]
    assert codes(log, mesh=mesh) == []


# --- nothing selected ---


def test_nobody_is_two_services_at_once() -> None:
    ref = "{kind: MeshServiceSubset, name: web, tags: {kuma.io/service: api}}"
    lines = hints(timeout("t").replace("{kind: Dataplane, labels: {app: web}}", ref))
    assert ["REF003" in line for line in lines] == [True]


def test_a_policy_selects_in_its_own_mesh() -> None:
    text = timeout("t").replace("{app: web}", "{kuma.io/mesh: other}")
    assert codes(text) == ["REF003"]
    assert codes(text.replace("other", "default")) == []


# --- conflicts ---


def test_of_two_equal_policies_the_loser_is_told_at_its_field_and_names_the_winner() -> None:
    assert hints(timeout("a"), timeout("b", value="2s")) == [
        "b.yaml:9:36: CFL001 warning: connectionTimeout is not in force: MeshTimeout default/a "
        "sets another for the same traffic, and of equal policies the name that sorts first wins; "
        "it is set in a.yaml:9:36; say it once, or rename the one that is to win "
        "[spec.to[0].default.connectionTimeout]"
    ]


def test_the_display_name_decides() -> None:
    winner = timeout("b", "labels: {kuma.io/display-name: a0}", value="2s")
    (line,) = hints(timeout("a1"), winner)
    assert line.startswith("a.yaml:")


@pytest.mark.parametrize(
    "other",
    [
        timeout("b", value="1000ms"),
        timeout("b", "labels: {kuma.io/effect: shadow}", value="2s"),
        timeout("b", target="{kind: MeshService, name: x}", value="2s"),
        timeout("b", value="2s").replace("app: web", "app: api"),
        timeout("b").replace("connectionTimeout", "idleTimeout"),
        timeout("b", value="2s").replace("mesh: default", "mesh: other"),
        timeout("b", "labels: {kuma.io/policy-role: system}", value="2s"),
    ],
    ids=[
        "same value", "shadow", "other entry", "other proxies", "other field", "other mesh",
        "other rank",
    ],
)  # fmt: skip
def test_what_says_the_same_or_is_for_others_is_no_conflict(other: str) -> None:
    mesh = f"{MESH}---\ntype: Mesh\nname: other\nskipCreatingInitialPolicies: ['*']\n"
    assert codes(timeout("a"), other, mesh=mesh) == []


PERMISSION = """\
    type: MeshTrafficPermission
    mesh: default
    name: {name}
    spec:
      rules: [{{default: {{{word}: [{{spiffeID: {{type: Exact, value: "spiffe://t/a"}}}}]}}}}]
    """


def test_of_rules_of_permissions_all_count() -> None:
    first = PERMISSION.format(name="a", word="allow")
    second = PERMISSION.format(name="b", word="allow").replace("t/a", "t/b")
    assert codes(first, second) == []


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ("", ["CFL001"]),
        ("proxyTypes: [Sidecar, Gateway]", ["CFL001"]),
        ("proxyTypes: [Sidecar]", []),
    ],
)
def test_a_target_may_be_written_in_several_ways(types: str, expected: list[str]) -> None:
    plain = "targetRef: {kind: Dataplane, labels: {app: web}}"
    assert plain in timeout("a")
    one = timeout("a").replace(plain, "")
    other = timeout("b", value="2s").replace(plain, f"targetRef: {{kind: Mesh, {types}}}")
    assert codes(one, other) == expected


PASSTHROUGH = """\
    type: MeshPassthrough
    mesh: default
    name: {name}
    spec:
      targetRef: {{kind: Mesh, proxyTypes: [Sidecar]}}
      default:
        passthroughMode: Matched
        appendMatch: [{{type: Domain, value: {name}.example, port: 443, protocol: tls}}]
    """


def test_lists_that_grow_have_no_loser() -> None:
    assert codes(PASSTHROUGH.format(name="a"), PASSTHROUGH.format(name="b")) == []
    other = PASSTHROUGH.format(name="b").replace("Matched", "All")
    assert "CFL001" in codes(PASSTHROUGH.format(name="a"), other)


def test_routes_conflict_where_they_match_the_same() -> None:
    route = """\
        type: MeshHTTPRoute
        mesh: default
        name: {name}
        spec:
          targetRef: {{kind: Mesh}}
          to:
            - targetRef: {{kind: MeshService, name: web}}
              rules:
                - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
                  default: {{backendRefs: [{{kind: MeshService, name: {backend}}}]}}
        """
    first = route.format(name="a", path="/", backend="one")
    assert codes(first, route.format(name="b", path="/", backend="two")) == ["CFL001"]
    assert codes(first, route.format(name="b", path="/x", backend="two")) == []


def legacy(type_: str, name: str, source: str, conf: str = "") -> str:
    return f"""\
        type: {type_}
        mesh: default
        name: {name}
        sources: [{{match: {{kuma.io/service: {source}}}}}]
        destinations: [{{match: {{kuma.io/service: web}}}}]
        {conf}
        """


def test_of_legacy_policies_with_equal_selectors_one_loses_as_a_whole() -> None:
    one, two = ("conf: {connectTimeout: 1s}", "conf: {connectTimeout: 2s}")
    (line,) = hints(legacy("Timeout", "a", "x", one), legacy("Timeout", "b", "x", two))
    assert line.startswith("b.yaml:5:15: CFL002 ")
    assert "the other one is Timeout default/a in a.yaml:5:15" in line
    assert codes(legacy("Timeout", "a", "x", one), legacy("Timeout", "b", "y", two)) == []
    assert codes(legacy("Timeout", "a", "x", one), legacy("Timeout", "b", "x", one)) == []


def test_of_permissions_one_is_in_force_for_an_inbound_whomever_they_let_in() -> None:
    a, b = legacy("TrafficPermission", "a", "x"), legacy("TrafficPermission", "b", "y")
    assert codes(a, b) == ["CFL002"]


# --- as a whole ---


def test_a_repository_with_errors_gets_none() -> None:
    assert codes(timeout("a", value="0s"), timeout("b", value="2s")) == ["MT001"]


def test_places_of_fields_are_looked_up_in_some_files_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A warning of every policy must not read every file again."""
    monkeypatch.setattr(found, "FILES_MAX", 2)
    lines = hints(timeout("a"), *(timeout(f"b{n}", value="2s") for n in range(3)))
    assert [line.split()[0] for line in lines] == ["b.yaml:9:36:", "c.yaml:1:1:", "d.yaml:1:1:"]
    assert all("connectionTimeout" in line.rpartition("[")[2] for line in lines)


# --- names ---


def external(name: str, service: str, more: str = "", address: str = "x.example:443") -> str:
    return f"""\
        type: ExternalService
        mesh: default
        name: {name}
        tags: {{kuma.io/service: {service}}}
        networking: {{address: '{address}'{more}}}
        """


def test_two_services_behind_one_host_and_port_are_told_at_the_one_that_loses() -> None:
    (line,) = hints(external("a", "one"), external("b", "two"))
    assert line == (
        "b.yaml:5:23: CFL003 warning: calls of x.example:443 go to the service one, and not to "
        "two: ExternalService default/a has the name in a.yaml:5:23; set "
        "networking.disableHostDNSEntry in one of the two [networking.address]"
    )


@pytest.mark.parametrize(
    "other",
    [
        external("b", "one"),  # one more endpoint
        external("b", "two", ", disableHostDNSEntry: true"),
        external("b", "two", address="x.example:444"),
        external("b", "two", address="y.example:443"),
        external("b", "two").replace("mesh: default", "mesh: other"),
    ],
)
def test_hosts_that_lead_where_they_say_are_not_told(other: str) -> None:
    second = "---\ntype: Mesh\nname: other\nskipCreatingInitialPolicies: ['*']\n"
    assert codes(external("a", "one"), other, mesh=MESH + second) == []


def virtual(name: str, match: str = "'*'", host: str = "'{{.s}}.mesh'", tags: str = "") -> str:
    return f"""\
        type: VirtualOutbound
        mesh: default
        name: {name}
        selectors: [{{match: {{kuma.io/service: {match}}}}}]
        conf:
          host: {host}
          port: "80"
          parameters: [{{name: s, tagKey: kuma.io/service}}{tags}]
        """


def test_virtual_outbounds_that_make_the_same_names_are_told() -> None:
    (line,) = hints(virtual("b"), virtual("a"))
    assert line.startswith("a.yaml:6:9: CFL003 warning: makes nothing: VirtualOutbound default/a ")


@pytest.mark.parametrize(
    "other",
    [
        virtual("b", match="web"),  # it is more exact, and has some of the names
        virtual("b", host="'{{.s}}.corp'"),
        virtual("b", tags=", {name: instance}"),  # each its own instances
        virtual("b").replace("mesh: default", "mesh: other"),
    ],
)
def test_virtual_outbounds_that_may_make_others_are_not_told(other: str) -> None:
    second = "---\ntype: Mesh\nname: other\nskipCreatingInitialPolicies: ['*']\n"
    assert codes(virtual("a"), other, mesh=MESH + second) == []


def named(name: str, labels: str = "{to: outside}") -> str:
    return HOST.replace("mail\n", f"{name}\n").replace(
        "    spec:", f"    labels: {labels}\n    spec:"
    )


def generator(template: str, kind: str = "meshExternalService") -> str:
    return f"""\
        type: HostnameGenerator
        name: outside
        spec:
          selector: {{{kind}: {{matchLabels: {{to: outside}}}}}}
          template: '{template}'
        """


def test_a_host_name_that_another_resource_has_is_told() -> None:
    (line,) = hints(named("mail"), named("post"), generator("outside.mesh"))
    assert line == (
        "b.yaml:1:1: CFL004 warning: has no host name (Hostname collision with "
        "MeshExternalService: mail) by HostnameGenerator outside in c.yaml:5:13; "
        "correct the template, or what it asks for []"
    )
    assert codes(named("mail"), named("post", "{to: inside}"), generator("outside.mesh")) == []
    other = named("post").replace("mesh: default", "mesh: other")
    second = "---\ntype: Mesh\nname: other\nskipCreatingInitialPolicies: ['*']\n"
    assert codes(named("mail"), other, generator("outside.mesh"), mesh=MESH + second) == []


def test_a_template_that_makes_no_name_for_what_is_there_is_told() -> None:
    asks = generator('{{ .DisplayName }}.{{ label "team" }}')
    assert codes(named("mail"), asks) == ["REF004"]
    assert codes(named("mail", "{to: outside, team: shop}"), asks) == []
    assert codes(named("mail"), generator("{{ .DisplayName }}.{{ .Zone }}.mesh")) == []
    origin = generator('{{ label "kuma.io/origin" }}.{{ label "kuma.io/display-name" }}')
    assert codes(named("mail"), origin) == []


def test_a_name_that_is_taken_from_the_default_generators_is_told() -> None:
    (line,) = hints(
        named("mail", "{to: inside}"), named("post"), generator("mail.extsvc.mesh.local")
    )
    assert line == (
        "a.yaml:1:1: CFL004 warning: has no host name (Hostname collision with "
        "MeshExternalService: post) by HostnameGenerator synced-mesh-external-service; "
        "correct the template, or what it asks for []"
    )
