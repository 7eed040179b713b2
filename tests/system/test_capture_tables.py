"""What install and uninstall do to the kernel's tables, and what they refuse: every backend, in
network namespaces. Needs root.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from reconciler.capture import host
from reconciler.capture.rules import Family
from tests.support.capture import (
    APPLICATION,
    DNS,
    PROXY,
    PROXY_SAYS,
    SERVER_SAYS,
    World,
    answering,
    serving,
    world,
)
from tests.support.namespaces import Namespace, cable, namespaces, v4

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.system
BACKENDS = ["nftables", "iptables-nft", "iptables-legacy"]
FOREIGN_NFT = """
table inet firewall {
  chain input { type filter hook input priority 0; policy accept; tcp dport 9 drop
  }
}
table ip mesh_reconcilers {
  chain outbound { type nat hook output priority -90; tcp dport 7 redirect to :8
  }
}
"""
FOREIGN_IPTABLES = """*nat
:DOCKER - [0:0]
:RECONCILER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT -m comment --comment "to us: -j MESH_RECONCILER_DNS" -j RECONCILER
-A DOCKER -p tcp -m tcp --dport 8088 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*raw
-A OUTPUT -p udp -m udp --dport 5353 -j CT --notrack
COMMIT
*mangle
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*filter
-A INPUT -s 192.0.2.1/32 -j DROP
COMMIT
"""
SAVES = ["iptables-legacy-save", "ip6tables-legacy-save"]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as found:
        yield found


def tables(at: Namespace) -> str:
    """All of the kernel's rules, and the addresses of lo. Counters and times are left out, and
    tables of iptables without rules: once looked at, they stay until the network ends.
    """
    texts = [at.says("nft", "list", "ruleset"), *(at.says(save) for save in SAVES)]
    text = "\n".join([*texts, at.says("ip", "-brief", "address", "show", "dev", "lo")])
    text = re.sub(r"(?m)^#.*\n", "", text)
    text = re.sub(r"packets \d+ bytes \d+|\[\d+:\d+\]", "", text)
    text = re.sub(r"\*\w+\n(:\w+ ACCEPT \n)+COMMIT\n", "", text)
    text = re.sub(r"\tchain [A-Z]+ \{\n\t\ttype [^\n]*\n\t\}\n\n?", "", text)
    return re.sub(r"\n*(\t?\})", r"\n\1", re.sub(r"table ip6? (nat|raw|mangle) \{\n\}\n", "", text))


def with_foreign(at: Namespace) -> None:
    """Rules of a firewall and of Docker, by every program."""
    assert at.run("nft", "-f", "-", stdin=FOREIGN_NFT).returncode == 0
    for program in ("iptables-legacy-restore", "iptables-nft-restore"):
        done = at.run(program, "--noflush", stdin=FOREIGN_IPTABLES)
        assert done.returncode == 0, done.stderr


# --- nothing else is touched ---


@pytest.mark.parametrize("backend", BACKENDS)
def test_uninstall_leaves_the_tables_as_they_were_with_others_rules(
    made: World, backend: str
) -> None:
    with_foreign(made.app)
    before = tables(made.app)
    made.install("--backend", backend, "--drop-invalid-packets")
    during = tables(made.app)
    assert "MESH_RECONCILER_" in during or "table ip mesh_reconciler " in during
    assert [line for line in before.splitlines() if line not in during.splitlines()] == [
        line for line in before.splitlines() if line.startswith("lo")
    ]
    assert made.uninstall().stdout == f"removed from {backend}, IPv4 and IPv6\n"
    assert tables(made.app) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_install_changes_nothing(made: World, backend: str) -> None:
    with_foreign(made.app)
    made.install("--backend", backend)
    once = tables(made.app)
    again = made.install("--backend", backend)
    assert tables(made.app) == once
    assert again.stdout.startswith(f"installed again by {backend}, IPv4 and IPv6:\n")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("earlier", BACKENDS)
def test_an_install_replaces_an_earlier_one_whole(made: World, earlier: str, backend: str) -> None:
    made.install("--backend", backend)
    wanted = tables(made.app)
    made.uninstall()
    made.install("--backend", earlier, "--exclude-outbound-ports=1-9", "--drop-invalid-packets",
                 f"--vnet=docker0:{v4(9, 0)}/24")  # fmt: skip
    report = made.install("--backend", backend, "--format=json")
    # Chains are listed as they were made; in which order does not matter.
    assert sorted(tables(made.app).splitlines()) == sorted(wanted.splitlines())
    found = json.loads(report.stdout)
    assert (found["backend"], found["replaced"]) == (backend, [earlier])
    assert found["ports"] == {"inbound": 15006, "outbound": 15001, "dns": 15053}


@pytest.mark.parametrize("repair", ["install", "uninstall"])
@pytest.mark.parametrize("missing", ["raw", "nat", "jumps", "ipv6", "address"])
def test_what_an_interrupted_install_left_is_repaired(
    made: World, missing: str, repair: str
) -> None:
    """By tables and families, as far as it came: nothing records how far that was."""
    before = tables(made.app)
    made.install("--backend=iptables-legacy")
    whole = tables(made.app)
    cut(made.app, missing)
    if repair == "install":
        made.install("--backend=iptables-legacy")
        assert tables(made.app) == whole
        made.uninstall()
    else:
        made.uninstall()
    assert tables(made.app) == before


def cut(at: Namespace, missing: str) -> None:
    if missing in {"nat", "ipv6", "address"}:
        at.ip("address", "del", "::6/128", "dev", "lo")  # It comes last, and goes first.
    for family in ("iptables", "ip6tables"):
        for table in ("nat", "raw"):
            legacy = [f"{family}-legacy", "-t", table]
            if missing == "jumps":
                at.says(*legacy, "-F", "OUTPUT")
            elif missing == table or (missing == "ipv6" and family == "ip6tables"):
                at.says(*legacy, "-F")
                at.says(*legacy, "-X")


def test_uninstall_where_nothing_was_installed_is_done(made: World) -> None:
    with_foreign(made.app)
    before = tables(made.app)
    assert made.uninstall().stdout == "nothing was installed here\n"
    assert json.loads(made.uninstall("--format=json").stdout)["removed"] == []
    assert tables(made.app) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_address_of_the_proxy_stays_if_it_was_there_before(made: World, backend: str) -> None:
    made.app.ip("address", "add", "::6/128", "dev", "lo")
    before = tables(made.app)
    made.install("--backend", backend)
    made.install("--backend", backend)
    made.uninstall()
    assert tables(made.app) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_ipv6_goes_whole_when_it_is_no_longer_wanted(made: World, backend: str) -> None:
    before = tables(made.app)
    made.install("--backend=nftables")
    made.install("--backend", backend, "--ip-family-mode=ipv4")
    during = tables(made.app)
    assert "::6" not in during
    assert "table ip6 mesh_reconciler" not in during
    made.uninstall()
    assert tables(made.app) == before


def test_an_address_that_somebody_added_or_took_meanwhile_is_no_fault(made: World) -> None:
    for change, there in ((host.add_source, True), (host.remove_source, False)):
        for _ in range(2):
            made.app.within(lambda change=change: change(Family.IPV6))  # type: ignore[misc]
            assert ("inet6 ::6/" in made.app.says("ip", "-6", "address", "show", "lo")) is there


@pytest.mark.parametrize("backend", BACKENDS)
def test_where_the_address_cannot_be_added_nothing_is_left(made: World, backend: str) -> None:
    """IPv6 is on, but not on lo: the proxy could not speak to its application."""
    made.app.says("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1")
    before = tables(made.app)
    done = made.install("--backend", backend, check=False)
    assert done.returncode == 2
    assert "::6 on lo, from which the proxy speaks to its application" in done.stderr
    assert "were taken away again; switch IPv6 on for lo, or say --ip-family-mode" in done.stderr
    assert tables(made.app) == before


def test_dry_run_changes_nothing_and_prints_what_would_be_there(made: World) -> None:
    before = tables(made.app)
    printed = made.install("--dry-run").stdout
    assert tables(made.app) == before
    done = made.app.run("nft", "-f", "-", stdin=printed)
    assert done.returncode == 0, done.stderr
    made.app.ip("address", "add", "::6/128", "dev", "lo")
    by_hand = tables(made.app)
    made.install("--backend=nftables")
    assert tables(made.app) == by_hand


# --- where something is missing ---


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("uid", [0, APPLICATION])
def test_the_least_capabilities_suffice(made: World, backend: str, uid: int) -> None:
    before = tables(made.app)
    some = ["net_admin", *(["net_raw"] if backend == "iptables-legacy" else [])]
    if uid:
        some.append("dac_read_search")  # The interpreter may lie in a home of root's.
    lock = made.folder / "lock"
    lock.touch()
    os.chmod(lock, 0o666)
    for verb in ("install", "uninstall"):
        command = made.command(verb, "--backend", backend)
        done = made.app.run("env", f"XTABLES_LOCKFILE={lock}", *command, uid=uid, capabilities=some)
        assert done.returncode == 0, done.stderr
    assert tables(made.app) == before


def test_where_iptables_legacy_was_never_used_nobody_needs_its_capability(made: World) -> None:
    for verb in ("install", "uninstall"):
        done = made.app.run(*made.command(verb), capabilities=["net_admin"])
        assert (done.returncode, done.stderr) == (0, "")
    made.install("--backend=iptables-legacy")
    done = made.app.run(*made.command("uninstall"), capabilities=["net_admin"])
    assert "note: what iptables-legacy holds could not be seen" in done.stderr


@pytest.mark.parametrize("verb", ["install", "uninstall"])
@pytest.mark.parametrize(
    ("backend", "some", "missing"),
    [
        ("auto", ["net_raw"], "NET_ADMIN"),
        ("nftables", [], "NET_ADMIN"),
        ("iptables-nft", ["net_raw"], "NET_ADMIN"),
        ("iptables-legacy", ["net_raw"], "NET_ADMIN"),
        ("iptables-legacy", ["net_admin"], "NET_RAW"),
        ("iptables-legacy", [], "NET_ADMIN, NET_RAW"),
    ],
)
def test_a_refusal_names_the_missing_capabilities_and_the_cure(
    made: World, verb: str, backend: str, some: list[str], missing: str
) -> None:
    made.install("--backend=iptables-legacy")
    before = tables(made.app)
    command = made.command(verb, "--backend", backend)
    done = made.app.run(*command, capabilities=some)
    assert done.returncode == 2
    assert re.search(
        rf"needs the capabilit(y|ies) {missing}, which this process has not", done.stderr
    )
    assert f"securityContext.capabilities.add: [{missing}]" in done.stderr
    assert tables(made.app) == before


def test_a_user_that_may_not_lock_is_told(made: World) -> None:
    lock = made.folder / "lock"
    lock.touch(mode=0o600)
    command = made.command("install", "--backend=iptables-legacy")
    some = ["net_admin", "net_raw", "dac_read_search"]
    done = made.app.run(
        "env", f"XTABLES_LOCKFILE={lock}", *command, uid=APPLICATION, capabilities=some
    )
    assert done.returncode == 2
    assert f"iptables-legacy locks {lock}, which this user may not write" in done.stderr


@pytest.mark.parametrize(("limit", "told"), [("2s", "did not end within 2 s"), ("1m", "lock")])
def test_a_lock_that_is_held_is_waited_for_and_then_told(
    made: World, limit: str, told: str
) -> None:
    lock = made.folder / "lock"
    command = made.command("install", "--backend=iptables-legacy", "--timeout", limit)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = made.app.run("env", f"XTABLES_LOCKFILE={lock}", *command)
    assert done.returncode == 4
    assert told in done.stderr
    assert "MESH_RECONCILER" not in tables(made.app)


@pytest.mark.parametrize(
    ("hidden", "backend"),
    [(["nft"], "iptables-nft"), (["nft", "iptables-nft"], "iptables-legacy")],
)
def test_without_nft_auto_takes_iptables_and_says_why(
    made: World, hidden: list[str], backend: str
) -> None:
    done = made.app.run(*without(hidden), *made.command("install"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"installed by {backend}, IPv4 and IPv6:\n")
    assert "the program nft is not here; install the package nftables" in done.stderr


def test_without_any_program_the_packages_are_named(made: World) -> None:
    hidden = without(["nft", "iptables-nft", "iptables-legacy"])
    for verb in ("install", "uninstall"):
        done = made.app.run(*hidden, *made.command(verb))
        assert done.returncode == 2
        assert "install the package nftables" in done.stderr
        assert "install the package iptables" in done.stderr


def test_uninstall_says_what_it_could_not_see(made: World) -> None:
    made.install("--backend=iptables-nft")
    done = made.app.run(*without(["iptables-nft"]), *made.command("uninstall"))
    assert done.returncode == 0
    assert "note: what iptables-nft made is still there: the programs of" in done.stderr
    made.uninstall()
    done = made.app.run(*without(["iptables-nft"]), *made.command("uninstall"))
    assert done.stderr == ""
    done = made.app.run(*without(["nft"]), *made.command("uninstall"))
    assert done.stderr.startswith("note: what nftables holds could not be seen: the program nft")


def without(programs: list[str]) -> list[str]:
    """The beginning of a command for which these are no programs."""
    hide = 'for p in {}; do mount --bind /dev/null "$(readlink -f "$(command -v "$p")")"; done'
    return ["unshare", "--mount", "sh", "-c", f'{hide.format(" ".join(programs))}; exec "$@"', "sh"]


def test_a_kernel_that_cannot_redirect_ipv6_captures_ipv4_and_that_is_told(made: World) -> None:
    refusing = in_front_of(
        made, "nft", '*"table ip6"*', "Error: Could not process rule: Not supported"
    )
    done = made.app.run(*refusing, *made.command("install", "--format=json"))
    report = json.loads(done.stdout)
    assert (report["backend"], report["families"]) == ("nftables", ["ipv4"])
    assert any("IPv6 is not captured" in note and "Not supported" in note
               for note in report["notes"])  # fmt: skip


@pytest.mark.parametrize("installed", [True, False])
def test_what_a_kernel_refuses_half_way_is_taken_away_again(made: World, installed: bool) -> None:
    """IPv4 is done by then: iptables has no transaction over both, and tests without the kernel."""
    before = tables(made.app)
    if installed:
        made.install("--backend=iptables-legacy")
    refusing = in_front_of(made, "ip6tables-legacy-restore", "*REDIRECT*", "No chain by that name")
    done = made.app.run(*refusing, *made.command("install", "--backend=iptables-legacy"))
    assert done.returncode == 2
    assert "No chain by that name; nothing of ours is left in the tables" in done.stderr
    assert tables(made.app) == before


def in_front_of(made: World, program: str, pattern: str, said: str) -> list[str]:
    """The beginning of a command for which that program refuses input with that pattern, unless it
    is only asked to test it.
    """
    front = made.folder / program
    front.write_text(
        f'#!/bin/sh\ncase "$*" in *--version*) exec /usr/sbin/{program} "$@";; esac\ninput=$(cat)\n'
        f'case "$*$input" in *--test*) ;; {pattern}) echo "{said}" >&2; exit 1;; esac\n'
        f'printf "%s\\n" "$input" | exec /usr/sbin/{program} "$@"\n'
    )
    front.chmod(0o755)
    return ["env", f"PATH={made.folder}:{os.environ['PATH']}"]


def test_without_ipv6_only_ipv4_is_captured_and_that_is_told(made: World) -> None:
    made.app.says("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    done = made.install("--format=json")
    report = json.loads(done.stdout)
    assert report["families"] == ["ipv4"]
    assert "IPv6 is off in this network, so only IPv4 is captured" in report["notes"]
    assert "ip6 mesh_reconciler" not in tables(made.app)


def test_a_network_of_another_user_namespace_is_told_from_a_missing_capability(
    made: World,
) -> None:
    done = made.app.run("unshare", "--user", "--map-root-user", *made.command("install"))
    assert done.returncode == 2
    assert "belongs to another user namespace" in done.stderr
    own = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c",
           'ip link set dev lo up && "$@" && nft list ruleset', "sh"]  # fmt: skip
    done = made.app.run(*own, *made.command("install", "--backend=nftables"))
    assert done.returncode == 0, done.stderr
    assert "table ip mesh_reconciler" in done.stdout


# --- among the rules of others ---


@pytest.mark.parametrize(
    ("precedence", "hears"),
    [("first", f"proxy at 15006 for {v4(1, 1)} 80"), ("last", f"application, to {v4(1, 2)}")],
)
@pytest.mark.parametrize(
    ("backend", "others"),
    [("nftables", "nft"), ("nftables", "legacy"), ("iptables-nft", "nft"),
     ("iptables-legacy", "legacy")],
)  # fmt: skip
def test_precedence_among_redirections_of_others(
    made: World, backend: str, precedence: str, hears: str, others: str
) -> None:
    """Of the two variants of iptables neither can say where it is among the other's."""
    redirect = "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080"
    program = f"iptables-{others}-restore"
    assert made.app.run(program, "--noflush", stdin=f"*nat\n{redirect}\nCOMMIT\n").returncode == 0
    made.install("--backend", backend, "--precedence", precedence)
    assert made.heard(made.peer, v4(1, 1), 80) == hears


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dns", ["servers", "all"])
def test_a_resolver_behind_rules_of_docker_is_asked_by_the_proxy_alone(
    made: World, backend: str, dns: str
) -> None:
    """Docker leads port 53 of 127.0.0.11 to another port of that address, where it listens."""
    rules = "*nat\n:DOCKER_OUTPUT - [0:0]\n-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT\n"
    rules += "-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT "
    rules += "--to-destination 127.0.0.11:43210\nCOMMIT\n"
    assert made.app.run("iptables-nft-restore", "--noflush", stdin=rules).returncode == 0
    (made.folder / "resolv.conf").write_text("nameserver 127.0.0.11\n")
    with answering(made.app, 0, {"127.0.0.11": SERVER_SAYS}, 43210):
        assert made.address_of_name(made.app, "127.0.0.11") == SERVER_SAYS
        made.install("--backend", backend, "--redirect-dns", dns)
        for _ in range(2):
            for uid, says in ((APPLICATION, PROXY_SAYS), (PROXY, SERVER_SAYS)):
                assert made.address_of_name(made.app, "127.0.0.11", uid=uid, port=40054) == says


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_containers_send_out_is_outbound_and_their_names_are_the_proxy_s(
    made: World, backend: str
) -> None:
    with namespaces("container") as (container,):
        cable(made.app, container, 2)
        container.ip("route", "add", "default", "via", v4(2, 1))
        made.app.says("sysctl", "-qw", "net.ipv4.ip_forward=1")
        with answering(made.app, PROXY, {v4(2, 1): PROXY_SAYS}, DNS):
            made.install("--backend", backend, f"--vnet=eth2:{v4(2, 0)}/24")
            heard = made.heard(container, v4(1, 2), 8080)
            assert heard == f"proxy at 15001 for {v4(1, 2)} 8080"
            heard = made.heard(container, v4(2, 1), 8080)
            assert heard == f"proxy at 15006 for {v4(2, 1)} 8080"
            assert made.address_of_name(container, v4(1, 2)) == PROXY_SAYS


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_forwarded_for_containers_is_left_alone(made: World, backend: str) -> None:
    """Without --vnet nobody asked for them; as inbound it would end at the proxy of the host."""
    with namespaces("container") as (container,):
        cable(made.app, container, 2)
        container.ip("route", "add", "default", "via", v4(2, 1))
        made.peer.ip("route", "add", f"{v4(2, 0)}/24", "via", v4(1, 1))
        made.app.says("sysctl", "-qw", "net.ipv4.ip_forward=1")
        made.install("--backend", backend)
        assert made.heard(container, v4(1, 2), 8080) == f"server, to {v4(2, 2)}"
        assert made.address_of_name(container, v4(1, 2)) == SERVER_SAYS
        heard = made.heard(container, v4(2, 1), 8080)
        assert heard == f"proxy at 15006 for {v4(2, 1)} 8080"


# --- each redirection can be left out ---


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_redirection_can_be_left_out(made: World, backend: str) -> None:
    to, at = v4(1, 2), v4(1, 1)
    everything = (f"proxy at 15001 for {to} 8080", f"proxy at 15006 for {at} 8080", PROXY_SAYS,
                  f"proxy at 15053 for {to} 53")  # fmt: skip
    nothing = (f"server, to {at}", f"application, to {to}", SERVER_SAYS, f"server, to {at}")
    for option, left_out in (
        ("--no-redirect-outbound", 0),
        ("--no-redirect-inbound", 1),
        ("--redirect-dns=off", 2),
        ("--no-redirect-dns-by-tcp", 3),
    ):
        made.install("--backend", backend, option)
        seen = (
            made.heard(made.app, to, 8080),
            made.heard(made.peer, at, 8080),
            made.address_of_name(made.app, to),
            made.heard(made.app, to, 53),
        )
        wanted = list(everything)
        wanted[left_out] = nothing[left_out]
        if left_out == 2:
            wanted[3] = f"proxy at 15001 for {to} 53"  # It is like anything else.
        assert list(seen) == wanted
        own = made.heard(made.app, at, 8080, uid=PROXY)
        both = left_out >= 2
        assert own == (f"proxy at 15006 for {at} 8080" if both else f"application, to {at}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_ports_and_user_are_those_that_were_asked_for(made: World, backend: str) -> None:
    with (
        serving(made.app, 7000, {16001: port_of, 16006: port_of}),
        answering(made.app, 7000, {"127.0.0.1": "240.0.0.9"}, 16053),
    ):
        made.install(
            "--backend", backend, "--proxy-user=7000", "--redirect-outbound-port=16001",
            "--redirect-inbound-port=16006", "--redirect-dns-port=16053", "--redirect-dns=all",
        )  # fmt: skip
        assert made.heard(made.app, v4(1, 2), 8080, uid=PROXY) == "16001"
        assert made.heard(made.app, v4(1, 2), 8080, uid=7000) == f"server, to {v4(1, 1)}"
        assert made.heard(made.peer, v4(1, 1), 8080) == "16006"
        assert made.address_of_name(made.app, v4(1, 3)) == "240.0.0.9"


def port_of(connection: socket.socket) -> str:
    return str(connection.getsockname()[1])
