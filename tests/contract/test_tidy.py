"""A unit test of the code base: rules that no linter of ours knows, printed as `file:line: what`.

Which modules are shell is read from .importlinter, so that there is one list of them. Generated
code (`*_pb2.py`) is exempt from everything here.
"""

from __future__ import annotations

import ast
import configparser
import fnmatch
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench.__main__ import BENCHES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
LINES_MAX = 70
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
BANNED_IN_PURE = {
    "open": "a pure module reads no file; take the bytes as an argument",
    "print": "a pure module returns what happened; the shell prints",
    "input": "a pure module asks nobody",
    "hash": "builtin hash() differs between runs; use xds.resource.digest",
    "time.time": "a pure module never reads a clock; take `now: float`",
    "time.monotonic": "a pure module never reads a clock; take `now: float`",
    "datetime.now": "a pure module never reads a clock; take `now: float`",
    "datetime.utcnow": "a pure module never reads a clock; take `now: float`",
    "random.*": "a pure module draws no numbers; take the value as an argument",
    "os.*": "a pure module sees no process",
}
BANNED_EVERYWHERE = {
    "asyncio.wait_for": "before Python 3.12 it loses a cancellation that comes as its future "
    "ends; use asyncio.timeout",
}
# `__hash__` may cache the builtin hash of frozen parts: it never leaves the process.
HASH_ALLOWED_IN = {"__hash__", "__post_init__"}
# Started by name, not by import: `python -m` modules and what pytest loads.
STARTED_BY_NAME = {
    "tests.conftest",
    "tests.support.scaffold",
    "tests.bench.__main__",
    *(
        f"tests.bench.{module}"
        for module in (
            *BENCHES.values(),
            "fleet_client",
            "fleet_floor",
            "captured_client",
            "captured_floor",
        )
    ),
}
MAY_PRINT = ("reconciler.cli", "reconciler.demo", "tests.bench", "tests.support.scaffold")
MARKER_WORDS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XXX", "HACK")) + r")\b")
ISSUE_LINK = re.compile(r"#\d+|issues?/\d+|issue \d+")
MACHINE_PATHS = re.compile(r"/(?:work|root|home/\w+|Users/\w+)/[\w.]")
# Hosts and options of package registries, spelled so that this file passes its own test.
REGISTRY_HOSTS = re.compile(
    r"(?i)\b(?:"
    + "|".join((r"py" + r"pi\.org", r"pythonhost" + r"ed\.org", r"npm" + r"js\."))
    + ")"
    r"|(?:--index" + r"-url|--extra-index" + r"-url|--find" + r"-links)\b"
)


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files that Git tracks or would add: an ignored file is nobody's promise."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = listed.stdout.decode().split("\0")
    return tuple(ROOT / name for name in sorted(set(names)) if name and (ROOT / name).is_file())


@cache
def modules() -> dict[str, tuple[Path, ast.Module]]:
    """Dotted name -> (file, syntax tree) of our own Python, without generated code."""
    found = {}
    for path in tracked_files():
        relative = path.relative_to(ROOT)
        if path.suffix == ".py" and not path.name.endswith("_pb2.py"):
            parts = relative.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = (path, ast.parse(path.read_bytes(), str(relative)))
    return found


def shell_patterns() -> tuple[str, ...]:
    """`reconciler.git.**` and the like, from the contract "pure"."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    lines = config["importlinter:contract:pure"]["ignore_imports"].split("\n")
    return tuple(line.split(" -> ")[0].replace("**", "*") for line in lines if line)


def is_pure(module: str) -> bool:
    ours = module.startswith(("reconciler", "xds"))
    return ours and not any(fnmatch.fnmatchcase(module, p) for p in shell_patterns())


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute, "" of anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{dotted(value)}.{attr}" if dotted(value) else ""
        case _:
            return ""


def imported_names(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    """Every dotted name the module imports, anywhere in it, `from a import b` as `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level + is_package or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def assert_none(findings: list[str]) -> None:
    assert not findings, "\n" + "\n".join(sorted(findings))


def test_functions_fit_on_a_screen() -> None:
    """70 lines at most, decorators and docstring included."""
    assert_none(
        [
            f"{place(path, node.lineno)}: {node.name} has {length} lines, {LINES_MAX} is the limit"
            for path, tree in modules().values()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LINES_MAX
        ]
    )


def banned_calls(
    tree: ast.Module, banned: Mapping[str, str] = BANNED_IN_PURE
) -> Iterator[tuple[int, str]]:
    """(line, cure) of every call that must not be made, in pure modules unless said otherwise."""
    allowed = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name in HASH_ALLOWED_IN
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            for pattern, cure in banned.items():
                exempt = pattern == "hash" and id(node) in allowed
                if not exempt and fnmatch.fnmatchcase(name, pattern):
                    yield node.lineno, f"{name}(): {cure}"


def test_pure_modules_do_nothing_but_compute() -> None:
    assert_none(
        [
            f"{place(path, line)}: {cure}"
            for module, (path, tree) in modules().items()
            if is_pure(module)
            for line, cure in banned_calls(tree)
        ]
    )


def test_what_loses_cancellations_is_called_nowhere() -> None:
    """A task that was told to end and goes on holds up the end of its process."""
    found = [
        f"{place(path, line)}: {cure}"
        for path, tree in modules().values()
        for line, cure in banned_calls(tree, BANNED_EVERYWHERE)
    ]
    assert_none(found)
    call = ast.parse("asyncio.wait_for(x, 1)")
    assert [line for line, _ in banned_calls(call, BANNED_EVERYWHERE)] == [1]


def test_pure_modules_are_told_from_shell_modules() -> None:
    """The rule above is worth nothing if the list of shell modules swallows everything."""
    assert is_pure("reconciler.state")
    assert is_pure("reconciler.steps.zone_step")
    assert is_pure("reconciler.kds.codec")
    assert not is_pure("reconciler.kds.server")
    assert not is_pure("reconciler.git.mirror")
    assert not is_pure("xds.server")


@pytest.mark.parametrize(
    ("source", "cure"),
    [
        ("import time\ndef f(): return time.time()", "clock"),
        ("def f(): return open('x')", "file"),
        ("from datetime import datetime\nx = datetime.now()", "clock"),
        ("import random\nx = random.choice([1])", "numbers"),
        ("x = hash('a')", "digest"),
    ],
)
def test_a_banned_call_is_found_and_the_cure_named(source: str, cure: str) -> None:
    assert [cure in found for _, found in banned_calls(ast.parse(source))] == [True]


def test_every_module_says_what_it_is() -> None:
    assert_none(
        [
            f"{place(path, 1)}: no module docstring (what it owns, who calls it)"
            for path, tree in modules().values()
            if not ast.get_docstring(tree) and tree.body
        ]
    )


def test_no_module_is_named_after_nothing() -> None:
    assert_none(
        [
            f"{place(path, 1)}: `{path.stem}` names no concept; name the module after what it holds"
            for path, _ in modules().values()
            if path.stem in FORBIDDEN_NAMES
        ]
    )


def test_only_programs_print() -> None:
    assert_none(
        [
            f"{place(path, node.lineno)}: print() outside of the command line"
            for module, (path, tree) in modules().items()
            if not module.startswith(MAY_PRINT)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and dotted(node.func) == "print"
        ]
    )


def test_every_module_is_reachable() -> None:
    """Imported by another module or a test, named as an entry point, or a test itself."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    reached = {target.partition(":")[0] for target in scripts.values()} | STARTED_BY_NAME
    for module, (path, tree) in modules().items():
        is_package = path.name == "__init__.py"
        for name in imported_names(tree, module, is_package=is_package):
            if name != module:
                reached.add(name)
        # Lazy command tables and `python -m` name modules in strings.
        reached |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value in modules()
            and node.value != module
        }
    parents = {name.rpartition(".")[0] for name in modules()}
    assert_none(
        [
            f"{place(path, 1)}: nothing imports {module}"
            for module, (path, tree) in modules().items()
            if module not in reached | parents
            and not path.name.startswith("test_")
            and path.name not in ("conftest.py", "__init__.py")
        ]
    )


def text_lines() -> Iterator[tuple[Path, int, str]]:
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # an image or another binary fixture
        for number, line in enumerate(text.splitlines(), start=1):
            yield path, number, line


def test_open_ends_have_an_issue() -> None:
    assert_none(
        [
            f"{place(path, number)}: say which issue does it: {line.strip()}"
            for path, number, line in text_lines()
            if path.suffix in (".py", ".proto", ".toml") and MARKER_WORDS.search(line)
            if not ISSUE_LINK.search(line) and path != Path(__file__)
        ]
    )


def test_no_file_holds_the_marks_of_a_merge() -> None:
    """A page with both sides of a conflict passes everything else."""
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    assert_none(
        [
            f"{place(path, number)}: a merge that is not resolved: {line[:60]}"
            for path, number, line in text_lines()
            if line.startswith(marks)
        ]
    )


def test_tracked_files_name_no_registry_and_no_place_of_one_machine() -> None:
    assert_none(
        [
            f"{place(path, number)}: names a machine's path or a registry: {line.strip()[:100]}"
            for path, number, line in text_lines()
            if (REGISTRY_HOSTS.search(line) or MACHINE_PATHS.search(line))
            and path != Path(__file__)
        ]
    )
