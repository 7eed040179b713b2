"""Applications that know nothing of the mesh are in it: each on a host of its own where everything
is redirected, with plain curl and plain TCP. Needs root, nftables and curl.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.asking import Page, page, pages, said, told
from tests.support.captured import (
    ADMIN_PORT,
    APPLICATIONS,
    EXCLUDED,
    GRPC,
    HIDDEN,
    HTTP,
    OUTSIDE,
    PROBES,
    TCP,
    VIRTUAL_PROBES,
    Captured,
    eventually,
    mesh,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
EVERYBODY = {"backend-east", "backend-west"}
CANARY = "readable-by-all-on-the-wire"
SERVER_NAME = b"backend{mesh=default}"
CLIENT = APPLICATIONS[0]
PORTS = {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}


@pytest.fixture(scope="module")
def world() -> Iterator[Captured]:
    with running() as made:
        yield made


def who_answers(world: Captured, url: str, count: int = 12) -> set[str]:
    return {answer.says for answer in pages(world.client, url, count) if answer.status == 200}


def passes(page: Page) -> bool:
    return page.status == 200


# --- calls ---


def test_plain_curl_reaches_both_zones(world: Captured) -> None:
    eventually(lambda: who_answers(world, "http://backend.mesh") == EVERYBODY, "both zones")
    assert all(map(passes, pages(world.client, "http://backend.mesh", 10)))


def test_plain_tcp_reaches_both_zones(world: Captured) -> None:
    def answering() -> set[str]:
        return {said(world.client, "echo.mesh", 80, "hello").split()[0] for _ in range(12)}

    eventually(lambda: answering() == EVERYBODY, "both zones")
    assert said(world.client, "echo.mesh", 80, "hello").endswith(" hello")


def test_grpc_reaches_both_zones(world: Captured) -> None:
    def answering() -> set[str]:
        return {told(world.client, "rpc.mesh:80", "hello").split()[0] for _ in range(6)}

    eventually(lambda: answering() == EVERYBODY, "both zones")
    assert told(world.client, "rpc.mesh:80", "hello").endswith(" hello")


def test_http_2_without_tls_is_taken_from_an_application(world: Captured) -> None:
    answer = page(world.client, "http://backend.mesh", "--http2-prior-knowledge")
    assert (answer.status, answer.caller) == (200, "127.0.0.6")


def test_an_application_calls_itself_by_its_name(world: Captured) -> None:
    eventually(lambda: passes(page(world.client, "http://client.mesh")), "itself")
    assert page(world.client, "http://client.mesh").says == "client"


def test_what_is_said_is_mutual_tls_on_every_wire(world: Captured) -> None:
    """The application answers with what it was told: a word that stands on every wire twice, and in
    the answer as it is, whatever the protocol.
    """
    relay = world.network.relay
    assert relay is not None
    client, near, far, outside = (
        world.of(role) for role in ("client", "backend-east", "ingress-west", "outside")
    )
    header = ("-H", f"x-canary: {CANARY}")
    with world.network.tap(client.number) as tap:
        found: set[str] = set()

        def both() -> bool:
            answer = page(world.client, "http://backend.mesh", *header)
            if answer.headers.get("x-canary") == CANARY:
                found.add(answer.says)
            return found >= EVERYBODY

        eventually(both, "an answer of each zone")
        # What leaves the mesh stays as it is, and shows that the word could be seen.
        assert page(world.client, f"http://{outside.v4}:{HTTP}", *header).says == "outside"
        plain = lambda: CANARY.encode() in tap.bytes_between(client.v4, outside.v4)  # noqa: E731
        eventually(plain, "plain text")
        inside = [tap.bytes_between(client.v4, other.v4) for other in (near, far)]
    assert all(inside)
    assert not any(CANARY.encode() in each for each in inside)
    assert CANARY.encode() not in relay.seen
    assert SERVER_NAME in relay.seen  # since it was connected


def test_identities_are_the_services_and_the_caller_is_the_proxy(world: Captured) -> None:
    """The application's host, and nobody else, is where its calls come from; who called by the mesh
    stands in the certificate's header.
    """
    answer = page(world.client, "http://backend.mesh")
    assert answer.caller == "127.0.0.6"
    certificate = answer.headers["x-forwarded-client-cert"]
    assert "URI=spiffe://default/client" in certificate
    assert "By=spiffe://default/backend" in certificate
    assert said(world.client, "echo.mesh", 80, "x").split()[1] == "127.0.0.6"


def test_ipv6_is_the_same_mesh(world: Captured) -> None:
    def by_ipv6() -> set[str]:
        found = [page(world.client, "http://backend.mesh", "-6") for _ in range(12)]
        return {answer.says for answer in found if answer.status == 200}

    eventually(lambda: by_ipv6() == EVERYBODY, "both zones")
    answer = page(world.client, f"http://{OUTSIDE}:{HTTP}", "-6")
    assert (answer.says, answer.caller) == ("outside", world.of("client").v6)


def test_calls_outlast_a_bad_wire_between_zones(world: Captured) -> None:
    relay = world.network.relay
    assert relay is not None
    eventually(lambda: who_answers(world, "http://backend.mesh") == EVERYBODY, "both zones")
    relay.slow(delay_s=0.05, loss=0.03, seed=9)
    try:
        answers = pages(world.client, "http://backend.mesh", 20)
        assert {answer.status for answer in answers} == {200}
        assert {answer.says for answer in answers} == EVERYBODY
        assert relay.lost > 0
    finally:
        relay.slow()


# --- from outside of the mesh ---


def test_strict_keeps_everybody_out_who_is_not_in_the_mesh(world: Captured) -> None:
    outside, target = world.inside("outside"), world.of("backend-east")
    for host in (target.v4, f"[{target.v6}]"):
        for port in (HTTP, HIDDEN):
            assert page(outside, f"http://{host}:{port}").status == 0, (host, port)
    assert "hello" not in said(outside, target.v4, TCP, "hello")  # an alert of TLS


def test_a_port_that_is_left_out_is_the_applications_own(world: Captured) -> None:
    outside, target = world.of("outside"), world.of("backend-east")
    for host, caller in ((target.v4, outside.v4), (f"[{target.v6}]", outside.v6)):
        answer = page(outside.namespace, f"http://{host}:{EXCLUDED}")
        assert (answer.says, answer.caller) == ("backend-east", caller)


def test_permissive_lets_plain_text_in_and_says_so_of_its_source(world: Captured) -> None:
    outside, target = world.inside("outside"), world.of("backend-east")
    with world.committed(mesh(mode="PERMISSIVE")):
        eventually(lambda: passes(page(outside, f"http://{target.v4}:{HTTP}")), "plain text")
        assert said(outside, target.v4, TCP, "hello") == "backend-east 127.0.0.6 hello"
        hidden = page(outside, f"http://{target.v4}:{HIDDEN}")
        assert (hidden.says, hidden.caller) == ("backend-east", "127.0.0.6")
        assert passes(page(world.client, "http://backend.mesh"))
    refused = lambda: page(outside, f"http://{target.v4}:{HTTP}").status == 0  # noqa: E731
    eventually(refused, "refused again")


def test_a_permission_decides_who_calls(world: Captured) -> None:
    forbidden: dict[str, object] = {
        "type": "MeshTrafficPermission",
        "mesh": "default",
        "name": "not-the-client",
        "spec": {
            "targetRef": {"kind": "MeshService", "name": "backend"},
            "from": [
                {
                    "targetRef": {"kind": "MeshSubset", "tags": {"kuma.io/service": "client"}},
                    "default": {"action": "Deny"},
                }
            ],
        },
    }
    with world.committed(forbidden):
        denied = lambda: {p.status for p in pages(world.client, "http://backend.mesh", 6)} == {403}  # noqa: E731
        eventually(denied, "denied")
        assert page(world.client, "http://client.mesh").status == 200  # It is of one service.
    eventually(lambda: passes(page(world.client, "http://backend.mesh")), "allowed again")
    assert all(map(passes, pages(world.client, "http://backend.mesh", 6)))


# --- what is not in the mesh ---


def test_passthrough_decides_whether_anybody_leaves_the_mesh(world: Captured) -> None:
    url, host = f"http://{OUTSIDE}:{HTTP}", world.of("outside")
    answer = page(world.client, url, "-4")
    assert (answer.says, answer.caller) == ("outside", world.of("client").v4)
    assert said(world.client, host.v4, TCP, "x") == f"outside {world.of('client').v4} x"
    with world.committed(mesh(networking={"outbound": {"passthrough": False}})):
        eventually(lambda: page(world.client, url).status == 0, "nobody leaves")
        assert page(world.client, url, "-6").status == 0
        assert passes(page(world.client, "http://backend.mesh"))
    eventually(lambda: passes(page(world.client, url)), "leaving again")


# --- who reaches what ---


def test_only_reachable_services_have_names(world: Captured) -> None:
    proxying = {**PORTS, "reachableServices": ["echo"]}
    with world.instead("client", world.document(CLIENT, transparentProxying=proxying)):
        eventually(lambda: said(world.client, "echo.mesh", 80, "x"), "echo")
        assert "resolve" in page(world.client, "http://backend.mesh").error
    eventually(lambda: passes(page(world.client, "http://backend.mesh")), "backend again")


def test_only_reachable_backends_have_names(world: Captured) -> None:
    names = {"kuma.io/display-name": "backend", "kuma.io/zone": "east"}
    refs = {"refs": [{"kind": "MeshService", "labels": names}]}
    document = world.document(CLIENT, transparentProxying={**PORTS, "reachableBackends": refs})
    with (
        world.committed(mesh(meshServices={"mode": "Everywhere"})),
        world.instead("client", document),
    ):
        url = f"http://backend.svc.mesh.local:{HTTP}"
        eventually(lambda: page(world.client, url).says == "backend-east", "the one of east")
        assert "resolve" in page(world.client, f"http://echo.svc.mesh.local:{TCP}").error
        assert "resolve" in page(world.client, f"http://backend.svc.west.mesh.local:{HTTP}").error


def test_an_instance_is_called_by_its_own_address_with_mutual_tls(world: Captured) -> None:
    proxying = {**PORTS, "directAccessServices": ["*"]}
    url = f"http://{world.of('backend-east').v4}:{HTTP}"
    assert page(world.client, url).status == 0  # as anybody's plain text
    with (
        world.instead("client", world.document(CLIENT, transparentProxying=proxying)),
        world.network.tap(world.of("client").number) as tap,
    ):
        eventually(lambda: page(world.client, url).says == "backend-east", "the instance")
        answer = page(world.client, url, "-H", f"x-canary: {CANARY}")
        assert answer.headers["x-canary"] == CANARY
        assert "URI=spiffe://default/client" in answer.headers["x-forwarded-client-cert"]
        assert said(world.client, world.of("backend-east").v4, TCP, "x").endswith(" x")
        heard = tap.bytes_between(world.of("client").v4, world.of("backend-east").v4)
        assert CANARY.encode() not in heard


# --- probes ---


def test_virtual_probes_ask_the_application_behind_a_strict_proxy(world: Captured) -> None:
    outside, target = world.inside("outside"), world.of("backend-west").v4
    probed = page(outside, f"http://{target}:{VIRTUAL_PROBES}/{HTTP}/health")
    assert (probed.status, probed.says) == (200, "backend-west")
    assert probed.body["path"] == "/health"
    assert page(outside, f"http://{target}:{VIRTUAL_PROBES}/other").status == 404


def test_the_probe_proxy_asks_the_application_past_its_sidecar(world: Captured) -> None:
    outside, target = world.inside("outside"), world.of("backend-east").v4

    def probed(path: str, *options: str) -> int:
        return page(outside, f"http://{target}:{PROBES}{path}", *options).status

    assert (probed(f"/{HTTP}/health"), probed(f"/{HTTP}/fail")) == (200, 503)
    assert probed(f"/{HIDDEN}/health") == 200
    assert (probed(f"/tcp/{TCP}"), probed("/tcp/9")) == (200, 503)
    live = ("-H", "x-kuma-probes-grpc-service: live")
    assert probed(f"/grpc/{GRPC}", *live) == 200
    assert (probed(f"/grpc/{GRPC}"), probed(f"/grpc/{TCP}")) == (503, 503)


def test_the_proxy_itself_is_asked_by_nobody_from_outside(world: Captured) -> None:
    outside, target = world.inside("outside"), world.of("backend-east").v4
    for port in (15001, 15006, ADMIN_PORT):
        answer = page(outside, f"http://{target}:{port}/config_dump")
        assert answer.status in (0, 403, 404), port


# --- the rules ---


@pytest.mark.parametrize("backend", ["iptables-legacy", "iptables-nft", "nftables"])
def test_every_backend_s_rules_do_the_same_and_take_the_place_of_others(
    world: Captured, backend: str
) -> None:
    """Under proxies that run: they need not know."""
    for each in APPLICATIONS:
        told = world.install(each.host, "--backend", backend)
        assert told.startswith(f"installed again by {backend}, IPv4 and IPv6:")
    eventually(lambda: who_answers(world, "http://backend.mesh") == EVERYBODY, "both zones")
    assert passes(page(world.client, "http://backend.mesh", "-6"))
    assert said(world.client, "echo.mesh", 80, "hello").split()[1:] == ["127.0.0.6", "hello"]
    assert passes(page(world.client, "http://client.mesh"))
    assert page(world.client, f"http://{OUTSIDE}:{HTTP}").says == "outside"


def test_without_the_rules_a_host_is_as_it_was(world: Captured) -> None:
    world.client.says(sys.executable, "-m", "reconciler.cli.main", "uninstall", "transparent-proxy")
    try:
        assert page(world.client, "http://backend.mesh").status == 0
        assert page(world.client, f"http://{OUTSIDE}:{HTTP}").says == "outside"
        outside, target = world.inside("outside"), world.of("client").v4
        assert page(outside, f"http://{target}:{HTTP}").says == "client"
    finally:
        world.install("client")
    eventually(lambda: passes(page(world.client, "http://backend.mesh")), "in the mesh again")
