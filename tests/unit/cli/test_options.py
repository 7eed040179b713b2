"""Every option of every command: command line before environment before file before default, and a
wrong value is named with its place.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.main import COMMANDS, main
from reconciler.cli.options import OptionError, describe, supply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ZONE = ["--state-dir", "S", "--join", "J"]
NAMED = ["--state-dir", "S", "--name", "e", "--global", "grpcs://g:1"]


def command(name: str) -> argparse.ArgumentParser:
    """As the program builds it."""
    module = next(c.module for c in COMMANDS if c.name == name)
    subparsers = argparse.ArgumentParser(prog="reconciler").add_subparsers()
    import_module(module).add_parser(subparsers)
    found: argparse.ArgumentParser = subparsers.choices[name]
    describe(found)
    return found


def parsed(name: str, arguments: list[str], given: Mapping[str, str]) -> argparse.Namespace:
    parser = command(name)
    supply(parser, name, arguments, given)
    return parser.parse_args(arguments)


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    kinds = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for action in kinds:
        for kind in action.choices.values():
            yield from leaves(kind)
    if not kinds:
        yield parser


@pytest.mark.parametrize("name", [c.name for c in COMMANDS])
def test_help_names_the_variable_of_every_option(name: str) -> None:
    for parser in leaves(command(name)):
        for action in parser._actions:
            long = [text for text in action.option_strings if text.startswith("--")]
            if long and long[0] != "--help":
                variable = f"[RECONCILER_{long[0][2:].upper().replace('-', '_')}]"
                assert variable in str(action.help), long[0]


def test_the_command_line_wins_then_the_environment_then_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        '[zone]\nstate-dir = "of-file"\nads-port = 1\nbootstrap-port = 1\nstatus-coalesce = 1.5\n'
        'tls-host = ["a", "b"]\n[global]\nrepo = "not read here"\n'
    )
    given = {"RECONCILER_CONFIG": str(file), "RECONCILER_ADS_PORT": "2", "RECONCILER_HOST": ""}
    args = parsed("zone", ["--bootstrap-port", "3", "--join", "j"], given)
    assert str(args.state_dir) == "of-file"
    assert (args.ads_port, args.bootstrap_port, args.status_coalesce) == (2, 3, 1.5)
    assert args.tls_host == ["a", "b"]
    assert args.host == "127.0.0.1"  # An empty variable is one that is not set.


def test_switches_and_repeated_options_have_variables_too() -> None:
    given = {"RECONCILER_NEW_KEYS": "yes", "RECONCILER_TLS_HOST": "a b", "RECONCILER_REPO": "r"}
    args = parsed("global", ["--state-dir", "S"], given)
    assert (args.new_keys, args.tls_host, args.repo) == (True, ["a", "b"], "r")
    args = parsed("global", ["--state-dir", "S", "--tls-host", "c", "--tls-host", "d"], given)
    assert args.tls_host == ["c", "d"]
    given["RECONCILER_NEW_KEYS"] = "0"
    assert parsed("global", ["--state-dir", "S"], given).new_keys is False


def test_kinds_of_a_command_have_tables_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[token.zone]\nglobal = "grpcs://g:1"\nout = "o"\nvalid-for = "24h"\n')
    args = parsed("token", ["zone", "east", "--config", str(file)], {})
    assert (args.address, str(args.out), args.valid_for) == ("grpcs://g:1", "o", 86_400.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[zone]\nadsport = 1\n", '"adsport" is not one of its options: join'),
        ("[zone]\nads-port = 70000\n", 'c.toml: [zone] ads-port: "70000" is not a port'),
        ("[zone]\nads-port = true\n", "ads-port: must be one text or number"),
        ('[zone]\ninventory = "some"\n', "some is not one of classes, full, off"),
        ("zone = 1\n", "must be a table"),
        ("[zone\n", "is no TOML"),
        ('[zone]\nconfig = "x"\n', '"config" is not one of its options'),
    ],
)
def test_mistake_in_the_file_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(OptionError) as found:
        supply(command("zone"), "zone", ["--config", str(tmp_path / "c.toml")], {})
    assert words in str(found.value)
    assert str(tmp_path / "c.toml") in str(found.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("RECONCILER_LOG_FORMAT", "xml", "xml is not one of json, text"),
        ("RECONCILER_POLL", "0", '"0" is not a number of seconds above 0'),
        ("RECONCILER_NEW_KEYS", "perhaps", "perhaps is neither true nor false"),
        ("RECONCILER_CONFIG", "/nowhere/c.toml", "No such file or directory; correct --config"),
    ],
)
def test_mistake_in_the_environment_could_not_run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["global", "--repo", "r", "--state-dir", "s"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert (value if variable == "RECONCILER_CONFIG" else variable) in error


def test_help_is_shown_whatever_the_environment_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECONCILER_KDS_PORT", "x")
    with pytest.raises(SystemExit) as ended:
        main(["global", "--help"])
    assert ended.value.code == 0
    assert "RECONCILER_KDS_PORT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["global", "--kds-port", "99999"], '"99999" is not a port'),
        (["global", "--kds-port", "-1"], "--kds-port"),
        (["global", "--poll", "nan"], "seconds above 0"),
        (["global", "--poll", "-3"], "seconds above 0"),
        (["global", "--status-prefix", "foo"], "refs/heads/status/"),
        (["zone", "--ads-port", "65536"], "is not a port"),
        (["zone", "--status-coalesce", "inf"], "is not a number of seconds"),
        (["zone", "--status-pushes", "-1"], "--status-pushes"),
        (["dataplane", "--admin-port", "x"], "is not a port"),
        (["dataplane", "--concurrency", "1.5"], "is not a number"),
        (["dataplane", "--log-level", "loud"], "invalid choice"),
        (["wait", "--timeout", "5"], "is not a duration"),
        (["validate", "--conf", "c.toml"], "unrecognized arguments: --conf"),
        (["token", "zone", "east", "--conf", "c", "--global", "g", "--out", "o"], "--conf"),
    ],
)
def test_value_that_cannot_be_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["zone", "--state-dir", "s"], "how to join?"),
        (["zone", "--state-dir", "s", "--join", "nowhere"], "nowhere: No such file"),
        (["zone", *ZONE, "--name", "west"], "leave out --name"),
        (
            ["zone", *NAMED, "--token-file", "nowhere"],
            "nowhere: No such file or directory",
        ),
        (["zone", *NAMED], "with one of --token-file and --tokenless"),
        (["zone", *NAMED, "--tokenless", "--token-file", "file"], "with one of --token-file"),
        (["zone", *NAMED, "--token-file", "file"], "file: is empty"),
        (["zone", *ZONE, "--tokenless"], "leave out --tokenless"),
        (["global", "--repo", "r", "--state-dir", "file"], "file is a file"),
        (
            ["dataplane", "--file", "nowhere", "--zone-address", "https://z", "--token-file", "t"],
            "nowhere: No such file or directory",
        ),
        (["status"], "name its --state-dir or --socket"),
        (["status", "--state-dir", "nowhere"], "is it running with this state directory?"),
        (["wait", "--commit", "HEAD", "--state-dir", "s"], "use git rev-parse"),
    ],
)
def test_what_cannot_run_says_the_cure_without_a_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_state_of_one_role_is_not_taken_by_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from reconciler.keys.join import Join, write_join
    from reconciler.runtime.state_dir import claim

    state = tmp_path / "s"
    state.mkdir()
    claim(state, "zone west")
    claim(state, "zone west")  # As at every start after the first.
    write_join(tmp_path / "east.join", Join("east", "grpcs://g:1", "", "a.b.c"))
    assert main(["zone", "--state-dir", str(state), "--join", str(tmp_path / "east.join")]) == 2
    assert "holds the state of zone west, not of zone east" in capsys.readouterr().err
    assert main(["global", "--state-dir", str(state), "--repo", "r"]) == 2
    assert "not of a global control plane" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--bootstrap-port", "--ads-port", "--kds-port"])
def test_port_that_is_taken_is_named_and_nothing_else_is_said(tmp_path: Path, option: str) -> None:
    """No traceback either: in a process of its own, whose last words are seen."""
    from reconciler.api.serving import tcp_socket
    from reconciler.keys.join import Join, write_join

    write_join(tmp_path / "east.join", Join("east", "grpcs://127.0.0.1:1", "", "a.b.c"))
    zone = ["zone", "--join", str(tmp_path / "east.join"), "--bootstrap-port", "0"]
    role = ["global", "--repo", "r"] if option == "--kds-port" else [*zone, "--ads-port", "0"]
    with tcp_socket("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "reconciler.cli.main", *role, option, port,
             "--state-dir", str(tmp_path / "state")],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "never awaited" not in done.stderr
