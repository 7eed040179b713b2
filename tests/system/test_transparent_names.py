"""Names of a mesh, asked by programs that know nothing of it: dig, glibc, musl. Needs root,
nftables, dig and musl-gcc.
"""

from __future__ import annotations

import subprocess
import sys
import time
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import pytest

from tests.support.asking import USER, dig, page, pages, said
from tests.support.captured import HTTP, OUTSIDE, TCP, Captured, eventually, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
VIPS = ip_network("240.0.0.0/4")
TOLD_WITHIN_S = 1.0
NAMES = ("backend.mesh", "echo.mesh", "client.mesh")
PROGRAM = r"""
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
int main(int n, char **of) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *each;
  int code = getaddrinfo(of[1], NULL, &hints, &found);
  if (code) { printf("%s\n", gai_strerror(code)); return 1; }
  for (each = found; each; each = each->ai_next) {
    char text[INET6_ADDRSTRLEN];
    void *address = each->ai_family == AF_INET
      ? (void *)&((struct sockaddr_in *)each->ai_addr)->sin_addr
      : (void *)&((struct sockaddr_in6 *)each->ai_addr)->sin6_addr;
    puts(inet_ntop(each->ai_family, address, text, sizeof text));
  }
  return 0;
}
"""


@pytest.fixture(scope="module")
def world() -> Iterator[Captured]:
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def musl(world: Captured) -> Path:
    """A program that asks for a name as those of Alpine do."""
    source, program = world.open / "asked.c", world.open / "asked"
    source.write_text(PROGRAM)
    subprocess.run(["musl-gcc", "-static", "-o", program, source], check=True)
    program.chmod(0o755)
    return program


def vip(world: Captured, name: str) -> str:
    """The one address of a name."""
    found = dig(world.client, name)
    assert found.status == "NOERROR", found
    assert len(found.addresses) == 1, found
    return found.addresses[0]


def virtual(host: str, port: str) -> dict[str, object]:
    """A VirtualOutbound over all services, with the tags that a test's names and ports need."""
    keys = {"service": "kuma.io/service", "instance": "instance", "listen": "listen"}
    used = {name: key for name, key in keys.items() if name in host + port or name == "service"}
    tags = [{"name": name, "tagKey": key} for name, key in used.items()]
    return {
        "type": "VirtualOutbound",
        "mesh": "default",
        "name": "of-a-test",
        "selectors": [{"match": {"kuma.io/service": "*"}}],
        "conf": {"host": host, "port": port, "parameters": tags},
    }


# --- who asks ---


def test_dig_is_told_an_address_of_each_family(world: Captured) -> None:
    eventually(lambda: all(dig(world.client, name).addresses for name in NAMES), "names")
    found = {vip(world, name) for name in NAMES}
    assert len(found) == len(NAMES)
    assert all(ip_address(each) in VIPS for each in found)
    six = dig(world.client, "backend.mesh", "AAAA")
    assert six.status == "NOERROR"
    assert [ip_address(each).version for each in six.addresses] == [6]
    assert 0 < dig(world.client, "backend.mesh").ttl <= 30
    assert (
        dig(world.client, "BackEnd.MESH").addresses == dig(world.client, "backend.mesh").addresses
    )
    assert dig(world.client, "backend.mesh", "MX").status == "NOERROR"  # and nothing of it


def test_a_name_of_the_mesh_that_nobody_has_is_none(world: Captured) -> None:
    for kind in ("A", "AAAA"):
        found = dig(world.client, "nobody.mesh", kind)
        assert (found.status, found.addresses) == ("NXDOMAIN", ())


def test_names_of_the_network_resolve_as_before(world: Captured) -> None:
    host = world.of("outside")
    assert dig(world.client, OUTSIDE).addresses == (host.v4,)
    assert dig(world.client, OUTSIDE, "AAAA").addresses == (host.v6,)
    assert dig(world.client, "nobody.example").status == "NXDOMAIN"
    assert dig(world.client, OUTSIDE, "A", "+tcp").addresses == (host.v4,)


def test_glibc_finds_both_families(world: Captured) -> None:
    listed = world.client.says("getent", "ahosts", "backend.mesh", uid=USER).split()
    assert vip(world, "backend.mesh") in listed
    program = "import socket; print({i[4][0] for i in socket.getaddrinfo('backend.mesh', 80)})"
    printed = world.client.says(sys.executable, "-c", program)
    assert vip(world, "backend.mesh") in printed
    assert world.client.run("getent", "ahosts", "nobody.mesh", uid=USER).returncode == 2


def test_musl_finds_both_families(world: Captured, musl: Path) -> None:
    listed = world.client.says(musl, "backend.mesh", uid=USER).split()
    assert vip(world, "backend.mesh") in listed
    assert {ip_address(each).version for each in listed} == {4, 6}
    assert world.client.says(musl, OUTSIDE, uid=USER).split()
    assert world.client.run(musl, "nobody.mesh", uid=USER).returncode == 1


# --- names that come, change and stay ---


def test_instances_have_names_of_their_own(world: Captured) -> None:
    each = virtual("{{.instance}}.{{.service}}.mesh", "80")
    with world.committed(each):
        for number, says in enumerate(("backend-east", "backend-west")):
            url = f"http://backend-{number}.backend.mesh"
            eventually(lambda url=url, says=says: page(world.client, url).says == says, url)  # type: ignore[misc]
            assert {answer.says for answer in pages(world.client, url, 6)} == {says}


def test_http_and_tcp_share_an_address_by_their_ports(world: Captured) -> None:
    both = virtual("both.mesh", "{{.listen}}")
    with world.committed(both):
        url = f"http://both.mesh:{HTTP}"
        eventually(lambda: page(world.client, url).status == 200, url)
        assert said(world.client, "both.mesh", TCP, "x").endswith(" x")
        assert len(dig(world.client, "both.mesh").addresses) == 1


def test_a_name_s_change_is_told_within_a_second(world: Captured) -> None:
    with world.pushed(virtual("{{.service}}.first.mesh", "80")):
        told = eventually(lambda: dig(world.client, "backend.first.mesh").addresses, "a new name")
        with world.pushed(virtual("{{.service}}.second.mesh", "80")):
            changed = eventually(
                lambda: dig(world.client, "backend.second.mesh").addresses, "its change"
            )
            gone = lambda: dig(world.client, "backend.first.mesh").status == "NXDOMAIN"  # noqa: E731
            eventually(gone, "the old one is gone")
    assert max(told, changed) <= TOLD_WITHIN_S


def test_a_new_service_has_a_name_and_an_address_of_nobody_else(world: Captured) -> None:
    before = {name: vip(world, name) for name in NAMES}
    with world.joined("outside", "newcomer"):
        eventually(lambda: dig(world.client, "newcomer.mesh").addresses, "its name")
        assert time.time() - world.connected_at("east", "default.newcomer") <= TOLD_WITHIN_S
        assert vip(world, "newcomer.mesh") not in before.values()
        eventually(lambda: page(world.client, "http://newcomer.mesh").says == "outside", "a call")
        assert {name: vip(world, name) for name in NAMES} == before


def test_control_planes_that_come_back_give_nobody_another_address(world: Captured) -> None:
    before = {name: vip(world, name) for name in NAMES}
    for role in ("global", "zone-east"):
        world.processes.pop(role).kill_now()
    assert {name: vip(world, name) for name in NAMES} == before  # proxies stay as they are
    world.restart()
    assert {name: vip(world, name) for name in NAMES} == before
    assert page(world.client, "http://backend.mesh").status == 200
