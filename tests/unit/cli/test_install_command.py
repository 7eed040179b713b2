"""`reconciler install transparent-proxy` without a kernel: what it would do, and what it refuses.

What it does stands in tests/system/test_capture*.py.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from reconciler.cli import install
from reconciler.cli.main import main

INSTALL = ["install", "transparent-proxy", "--dry-run"]


@pytest.fixture(autouse=True)
def resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Instead of this machine's; and no program is to be found."""
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.53\nnameserver fd00::53\n")
    monkeypatch.setenv("RECONCILER_RESOLV_CONF", str(path))
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a program was called"))
    return path


def printed(capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> tuple[str, str]:
    ended: object
    try:
        ended = main([*INSTALL, *options])
    except SystemExit as wrong:
        ended = wrong.code
    assert ended == code
    found = capsys.readouterr()
    return found.out, found.err


def test_dry_run_prints_the_rules_of_nftables(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = printed(capsys)
    assert out.startswith("# nft -f -\nadd table ip mesh_reconciler\n")
    for rule in (
        'meta l4proto tcp redirect to :15001 comment "outbound"',
        'fib daddr type local meta l4proto tcp redirect to :15006 comment "inbound"',
        'ip daddr 10.0.0.53/32 udp dport 53 redirect to :15053 comment "queries"',
        'ip6 daddr fd00::53/128 udp dport 53 redirect to :15053 comment "queries"',
    ):
        assert rule in out
    assert err == ""


def test_dry_run_prints_the_input_of_iptables_family_by_family(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, _ = printed(capsys, "--backend=iptables-legacy")
    heads = [line for line in out.splitlines() if line.startswith("#")]
    assert heads == ["# iptables-restore --noflush", "# ip6tables-restore --noflush"]


def test_ipv4_alone_is_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ip6" not in printed(capsys, "--ip-family-mode=ipv4")[0]


def test_rules_are_there_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "--format=json")[0])
    assert {key: found[key] for key in ("backend", "families", "notes")} == {
        "backend": "nftables",
        "families": ["ipv4", "ipv6"],
        "notes": [],
    }
    assert list(found["rules"]) == ["nft -f -"]
    assert found["ports"] == {"inbound": 15006, "outbound": 15001, "dns": 15053}
    assert found["proxy_user"] == 5678
    found = json.loads(printed(capsys, "--format=json", "--redirect-dns=off")[0])
    assert found["ports"]["dns"] is None


def test_the_page_lists_every_option() -> None:
    page = (Path(__file__).parents[3] / "docs" / "transparent-proxy.md").read_text()
    table = page.partition("## Options")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `--")]
    told = re.findall(r"--(?:\[no-\])?([a-z-]+)", " ".join(rows))
    parser = argparse.ArgumentParser().add_subparsers()
    install.add_parser(parser)
    (kinds,) = (a for a in parser.choices["install"]._actions if a.dest == "kind")
    assert isinstance(kinds, argparse._SubParsersAction)
    capture = kinds.choices["transparent-proxy"]
    offered = [a.option_strings[0].removeprefix("--") for a in capture._actions]
    assert sorted(told) == sorted(option for option in offered if option != "-h")


def test_every_option_changes_its_rule(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(
        capsys, "--proxy-user=root", "--redirect-inbound-port=16006",
        "--redirect-outbound-port=16001", "--redirect-dns-port=16053", "--redirect-dns=all",
        "--exclude-inbound-ports=22", "--exclude-inbound-ports=8000-8010",
        "--exclude-inbound-ips=192.0.2.1", "--exclude-outbound-ports=443,5432",
        "--exclude-outbound-ips=10.9.0.0/16", "--exclude-outbound-ports-for-uids=tcp:25:1000-1010",
        "--vnet=docker0:172.17.0.0/16", "--precedence=last", "--drop-invalid-packets",
        "--skip-dns-conntrack-zone-split",
    )  # fmt: skip
    for part in (
        "meta skuid 0 return", "redirect to :16006", "redirect to :16001", "redirect to :16053",
        "tcp dport 22 return", "tcp dport 8000-8010 return", "ip saddr 192.0.2.1/32 return",
        "tcp dport 443 return", "tcp dport 5432 return", "ip daddr 10.9.0.0/16 meta l4proto tcp",
        "meta skuid 1000-1010 tcp dport 25 return", 'iifname "docker0" udp dport 53',
        "hook output priority -99", "ct state invalid drop",
    ):  # fmt: skip
        assert part in out, part
    assert "ct zone" not in out


def test_each_redirection_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    for option, gone in (
        ("--no-redirect-inbound", ":15006"),
        ("--no-redirect-outbound", ":15001"),
        ("--redirect-dns=off", ":15053"),
        ("--redirect-inbound-port=off", ":15006"),
        ("--redirect-outbound-port=off", ":15001"),
        ("--redirect-dns-port=off", ":15053"),
    ):
        out, _ = printed(capsys, option)
        ports = {":15001", ":15006", ":15053"}
        assert {port for port in ports if port in out} == ports - {gone}


def test_names_by_tcp_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    redirected = "ip daddr 10.0.0.53/32 tcp dport 53 redirect to :15053"
    assert redirected in printed(capsys)[0]
    assert redirected not in printed(capsys, "--no-redirect-dns-by-tcp")[0]


def test_options_come_from_the_environment_and_the_file_as_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "reconciler.toml"
    file.write_text(
        '[install.transparent-proxy]\nredirect-dns = "off"\nredirect-inbound = false\n'
        'exclude-outbound-ports = ["443", "5432-5433"]\n'
    )
    monkeypatch.setenv("RECONCILER_EXCLUDE_OUTBOUND_IPS", "10.9.0.0/16,10.8.0.1 fd09::/32")
    monkeypatch.setenv("RECONCILER_PROXY_USER", "7000")
    out, _ = printed(capsys, "--config", str(file))
    for part in ("dport 443 ", "dport 5432-5433 ", "10.9.0.0/16", "10.8.0.1/32", "fd09::/32",
                 "skuid 7000"):  # fmt: skip
        assert part in out
    assert ":15053" not in out
    assert ":15006" not in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--exclude-inbound-ports=22,ssh"], '"ssh" is not a port: 1 to 65535'),
        (["--exclude-outbound-ips=example.com"], '"example.com" is neither address nor network'),
        (["--exclude-outbound-ports-for-uids=nobody-there"], '"nobody-there" is no user of this'),
        (["--proxy-user=nobody-there"], "is no user of this machine; create it, or give an id"),
        (["--vnet=docker0"], '"docker0" is not INTERFACE:NETWORK'),
        (["--redirect-dns=some"], "invalid choice: 'some'"),
        (["--redirect-inbound-port=15001"], "the proxy tells them apart by it"),
        (
            ["--no-redirect-inbound", "--no-redirect-outbound", "--redirect-dns=off"],
            "nothing is left to redirect",
        ),
        (["--resolv-conf=nowhere"], "Name a file with --resolv-conf, or say --redirect-dns all"),
    ],
)
def test_what_means_nothing_is_refused_with_the_cure(
    capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    out, err = printed(capsys, *options, code=2)
    assert said in err
    assert out == ""


@pytest.mark.parametrize(
    ("options", "text", "note"),
    [
        ([], "search mesh\n", "resolv.conf names no server, so no DNS is captured"),
        (["--redirect-dns=all"], "nameserver 127.0.0.53\n", "comes back to the proxy"),
        (["--proxy-user=0"], "nameserver 10.0.0.53\n", "nothing that root sends is captured"),
        (["--ip-family-mode=ipv4"], "nameserver fd00::53\n", "names no server"),
    ],
)
def test_what_may_not_be_meant_is_told(
    capsys: pytest.CaptureFixture[str],
    resolv_conf: Path,
    options: list[str],
    text: str,
    note: str,
) -> None:
    resolv_conf.write_text(text)
    _, err = printed(capsys, *options)
    assert err.startswith("note: ")
    assert note in err


def test_a_resolver_of_this_host_is_no_trap_where_only_its_own_queries_are_captured(
    capsys: pytest.CaptureFixture[str], resolv_conf: Path
) -> None:
    resolv_conf.write_text("nameserver 127.0.0.53\n")
    out, err = printed(capsys)
    assert "ip daddr 127.0.0.53/32 udp dport 53 redirect to :15053" in out
    assert err == ""


def test_all_queries_are_captured_without_a_resolv_conf(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, _ = printed(capsys, "--redirect-dns=all", "--resolv-conf=nowhere")
    assert "udp dport 53 redirect to :15053" in out
