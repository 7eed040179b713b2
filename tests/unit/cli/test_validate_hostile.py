"""Pull requests that mean harm, through `reconciler validate`: classes C and E of
`facts/anchors.md` 3.3.

Each is tried on files and on a commit, without a cache and from one, in every form of output: the
same verdict, within a bounded time, and nothing done but reading. The loader alone is tried in
tests/unit/load/test_hostile_files.py.

C17 to C22   test_files_that_mean_harm… here
E27          test_e27_… here, tests/unit/reading/test_ahead.py, tests/unit/reading/test_form.py
E28          test_e28_… here
E29          test_e29_… here and in tests/unit/reading/test_ahead.py
E30          test_e30_… here; on the wire tests/unit/status, tests/unit/steps and docs/roles.md
E31          test_e31_… here; pushes tests/unit/git/test_status_ref.py
E32          test_c32_… in tests/unit/reading and tests/unit/cli/test_validate_cache.py
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli.main import main
from reconciler.reading.cache import FILE
from tests.support.git_repos import PolicyRepo, git

if TYPE_CHECKING:
    from pathlib import Path

MESH = "type: Mesh\nname: default\n"
BOUND_S = 20.0  # of one run: the machine may be busy; without limits these take minutes or hours
LONG = 100_000
FORMS = ("text", "json", "github", "sarif", "junit")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECONCILER_NO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


def policy(name: str = "t", **more: Any) -> dict[str, Any]:
    item = {"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "1s"}}
    spec = {"targetRef": {"kind": "Mesh"}, "to": [item]}
    return {"type": "MeshTimeout", "mesh": "default", "name": name, "spec": spec, **more}


def timeout(value: object, name: str = "t") -> dict[str, Any]:
    found = policy(name)
    found["spec"]["to"][0]["default"]["connectionTimeout"] = value
    return found


def route(regex: str) -> dict[str, Any]:
    match = {"path": {"type": "RegularExpression", "value": regex}}
    to = {"targetRef": {"kind": "MeshService", "name": "b"}, "rules": [{"matches": [match]}]}
    to["rules"][0]["default"] = {}  # type: ignore[index]
    spec = {"targetRef": {"kind": "Mesh"}, "to": [to]}
    return {"type": "MeshHTTPRoute", "mesh": "default", "name": "r", "spec": spec}


def nested(depth: int) -> dict[str, Any]:
    value: object = "x"
    for _ in range(depth):
        value = {"a": value}
    return policy(spec={"targetRef": {"kind": "Mesh"}, "to": [value]})


BOMB = "a: &a [x,x]\n" + "".join(
    f"{chr(n)}: &{chr(n)} [{','.join([f'*{chr(n - 1)}'] * 9)}]\n" for n in range(ord("b"), ord("j"))
)
# class -> name -> file, and a code that it must have; None: any error, "": none
HARM: dict[str, tuple[str | dict[str, Any], str | None]] = {
    "c17 aliases": (BOMB, "SRC004"),
    "c17 alias of itself": ("a: &a [*a]\n", "SRC004"),
    "c17 anchor in a policy": (MESH + "labels: &x {a: b}\n", "SRC004"),
    "c18 object": ("a: !!python/object/apply:os.system ['touch ran']\n", "SRC006"),
    "c18 a key twice": (MESH + "name: other\n", "SRC007"),
    "c18 merge key": ("a: {<<: {b: 1}}\n", "SRC004"),
    "c18 key that is no text": ("? [a]\n: b\n", "SRC001"),
    "c18 1e400": ("a: 1e400\n", "SRC011"),
    "c18 2^64": ("a: 18446744073709551616\n", "SRC011"),
    "c18 long number": ("a: " + "9" * LONG, "SRC011"),
    "c18 nan": (timeout(".nan"), None),
    "c18 date": (timeout("2001-12-14"), None),
    "c18 10,000 deep": ("[" * 10_000, "SRC003"),
    "c18 65 deep": (nested(65), "SRC003"),
    "c18 100,000 documents": ("---\n" * 100_000, "SRC005"),
    "c18 control character": ("a: \x07\n", "SRC001"),
    "c18 mark of bytes": ("\ufefftype: Mesh\nname: b\n", ""),
    "c19 reference to metadata": (policy(**{"$ref": "http://169.254.169.254/x"}), ""),
    "c19 reference to a file": (policy(**{"$schema": "file:///etc/passwd"}), ""),
    "c20 goes back": (route("(a+)+$"), ""),
    "c20 long expression": (route("(x*)*" * LONG), ""),
    "c20 long text with a form": (timeout("1s" * LONG + "!"), None),
    "c21 duration": (timeout("soon"), None),
    "c21 list": (timeout(["1s"]), None),
    "c22 254 characters": (policy("n" * 254), "DOC003"),
    "c22 100,000 characters": (policy("n" * LONG), "DOC003"),
    "c22 capital": (policy("Web"), "DOC003"),
    "c22 cyrillic e": (policy("w\u0435b"), "DOC003"),
    "c22 no width": (policy("web\u200b"), "DOC003"),
    "c22 backwards": (policy("\u202eweb"), "DOC003"),
    "c22 label of 64": (policy(labels={"a": "x" * 64}), "DOC011"),
    "c22 label's key of 64": (policy(labels={"x" * 64: "a"}), "DOC011"),
    "c22 mesh in cyrillic": (policy(mesh="d\u0435fault"), None),
    "c22 mesh in capitals": (policy(mesh="Default"), None),
}


def text_of(content: str | dict[str, Any]) -> str:
    return content if isinstance(content, str) else json.dumps(content)


def run(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    began = time.monotonic()
    code = main(["validate", *argv])
    assert time.monotonic() - began < BOUND_S
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("name", HARM)
def test_files_that_mean_harm_are_judged_and_hide_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a clean file and a faulty one of the same kind, which are judged as ever."""
    content, code = HARM[name]
    files = {
        "mesh.yaml": MESH,
        "good.yaml": text_of(policy("good")),
        "bad.yaml": text_of(timeout("never", "bad")),
        "harm.yaml": text_of(content),
    }
    repo = PolicyRepo.create(tmp_path, files)
    here, answers = str(repo.work), []
    for argv in ([here, "--no-cache"], [here], [here], [here, "--rev", "HEAD"]):
        ended, out, _ = run([*argv, "--format", "json"], capsys)
        assert ended == 1
        answers.append(json.loads(out))
    assert all(answer == answers[0] for answer in answers)
    errors = [p for p in answers[0]["problems"] if p["severity"] == "error"]
    assert [p["path"] for p in errors if p["path"] != "harm.yaml"] == ["bad.yaml"]
    found = {p["code"] for p in errors if p["path"] == "harm.yaml"}
    assert not found if code == "" else found
    told = {p["code"] for p in answers[0]["problems"] if p["path"] == "harm.yaml"}
    assert code in ("", None) or code in told
    assert answers[0]["resources"] >= 2
    assert all(len(p["message"]) < 2000 for p in answers[0]["problems"])
    for form in FORMS:
        assert run([here, "--format", form], capsys)[0] == 1


def test_c21_one_unreadable_duration_leaves_the_rest_of_its_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("a", "soon"), ("b", "1s"), ("c", "1 s"), ("d", "2s")):
        (tmp_path / f"{name}.yaml").write_text(text_of(timeout(value, name)))
    (tmp_path / "mesh.yaml").write_text(MESH)
    _, out, _ = run([str(tmp_path), "--format", "json"], capsys)
    answer = json.loads(out)
    assert answer["resources"] == 3
    assert {p["path"] for p in answer["problems"] if p["severity"] == "error"} == {
        "a.yaml", "c.yaml",
    }  # fmt: skip


# --- E: secrets and identity ---

SECRET = "hunter2-c2VjcmV0"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n"


def mesh_with(key: object) -> dict[str, Any]:
    conf = {"cert": {"secret": "c"}, "key": key}
    backend = {"name": "a", "type": "provided", "conf": conf}
    return {"type": "Mesh", "name": "default", "mtls": {"backends": [backend]}}


def external(**tls: object) -> dict[str, Any]:
    networking = {"address": "a:1", "tls": {"enabled": True, **tls}}
    found = {"type": "ExternalService", "mesh": "default", "name": "e", "networking": networking}
    return {**found, "tags": {"kuma.io/service": "a"}}


def mesh_external(**verification: object) -> dict[str, Any]:
    tls = {"enabled": True, "verification": verification}
    match = {"type": "HostnameGenerator", "port": 443, "protocol": "tcp"}
    spec = {"match": match, "tls": tls, "endpoints": [{"address": "a.example", "port": 443}]}
    return {"type": "MeshExternalService", "mesh": "default", "name": "e", "spec": spec}


@pytest.mark.parametrize(
    "document",
    [
        {"type": "Secret", "mesh": "default", "name": "s", "data": SECRET},
        {"type": "Secret", "mesh": "default", "name": "s", "data": {"value": SECRET}},
        {"type": "Secret", "mesh": "default", "name": "NO", "data": SECRET},
        {"type": "GlobalSecret", "name": "s", "data": SECRET},
        {"type": "secret", "name": "s", "data": SECRET},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"v": SECRET}},
        {
            "apiVersion": "kuma.io/v1alpha1", "kind": "Secret", "metadata": {"name": "s"},
            "spec": {"data": SECRET},
        },
        mesh_with({"inline": SECRET}),
        mesh_with({"inlineString": SECRET}),
        mesh_with({"inlineString": PEM + SECRET}),
        mesh_with({"inlineString": [SECRET]}),
        mesh_with(SECRET),
        mesh_with({"file": 1, "inline": SECRET}),
        external(clientKey=SECRET),
        external(clientKey={"inlineString": SECRET}),
        external(clientKey={"inline": SECRET + "!"}),
        external(clientKey={"inlineString": 7, "inline": SECRET}),
        mesh_external(clientKey=SECRET),
        mesh_external(clientKey={"inlineString": SECRET}),
        mesh_external(clientKey={"inline": SECRET, "secret": 7}),
    ],
    ids=lambda document: f"{document.get('type') or document.get('kind')}",
)  # fmt: skip
def test_e27_a_secret_is_in_no_message_form_or_cache(
    document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.yaml").write_text(json.dumps(document))
    for form in FORMS:
        _, out, err = run([str(tmp_path / "work"), "--format", form, "--color", "always"], capsys)
        for part in (SECRET, "hunter2", "MIIEpAIBAAKCAQEA"):
            assert part not in out + err
    assert b"hunter2" not in (tmp_path / "xdg" / "mesh-reconciler" / FILE).read_bytes()


def test_e27_a_number_that_is_a_password_is_not_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(json.dumps(external(clientKey={"inlineString": 8675309})))
    code, out, _ = run([str(tmp_path)], capsys)
    assert code == 1
    assert "not what stands here" in out
    assert "8675309" not in out


def test_e28_nobody_is_dialled_and_no_credential_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses in every place that a program might follow."""

    def refuse(*_: object) -> None:
        raise AssertionError("somebody dials")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("RECONCILER_GIT_TOKEN", SECRET)
    url = "https://attacker.example"
    repo = PolicyRepo.create(
        tmp_path,
        {
            "mesh.yaml": MESH,
            ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = {url}/x\n',
            "t.yaml": text_of(policy(**{"$ref": url, "$schema": url, "$id": url})),
            "secrets.yaml": f"secrets: [{{mesh: default, name: s, file: {url}}}]\n",
            "r.yaml": f"# yaml-language-server: $schema={url}\n" + text_of(policy("u")),
        },
    )
    git(repo.work, "config", "remote.origin.url", url)
    git(repo.work, "config", f"url.{url}/.insteadOf", "file://")
    git(repo.work, "config", "credential.helper", f"!echo {url}")
    for argv in ([], ["--rev", "HEAD"]):
        _, out, err = run([str(repo.work), *argv], capsys)
        assert SECRET not in out + err


@pytest.mark.parametrize("argv", [[], ["--rev", "HEAD"]])
def test_e29_nothing_of_a_repository_is_run(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Hooks, filters, monitors, includes, modules that shadow ours."""
    ran = tmp_path / "ran"
    repo = PolicyRepo.create(
        tmp_path,
        {"mesh.yaml": MESH, ".gitattributes": "* filter=x diff=x merge=x\n", "yaml.py": "1/0\n"},
    )
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    for hook in ("post-checkout", "pre-commit", "fsmonitor-watchman", "post-index-change"):
        (repo.work / ".git" / "hooks").mkdir(exist_ok=True)
        (repo.work / ".git" / "hooks" / hook).symlink_to(program)
    for key in ("core.fsmonitor", "core.pager", "core.sshCommand", "filter.x.smudge",
                "filter.x.clean", "filter.x.process", "diff.x.textconv"):  # fmt: skip
        git(repo.work, "config", key, str(program))
    monkeypatch.chdir(repo.work)
    assert run([".", *argv], capsys)[0] == 0
    assert not ran.exists()


def test_e30_a_status_ref_is_no_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a zone writes to its ref has no part in what is checked, and its kinds may not stand
    among policies.
    """
    repo = PolicyRepo.create(tmp_path, {"mesh.yaml": MESH})
    before = run([str(repo.work), "--rev", "HEAD", "--format", "json"], capsys)
    git(repo.work, "branch", "status/east")
    git(repo.work, "update-ref", "refs/heads/status/west", "HEAD")
    assert run([str(repo.work), "--rev", "HEAD", "--format", "json"], capsys) == before
    ingress = {"type": "ZoneIngress", "name": "i", "zone": "west", "networking": {"port": 1}}
    (repo.work / "ingress.yaml").write_text(json.dumps(ingress))
    code, out, _ = run([str(repo.work)], capsys)
    assert code == 1
    assert "DOC007" in out


def test_e31_reading_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No ref, object or file of a repository."""

    def state(folder: Path) -> dict[str, str]:
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    repo = PolicyRepo.create(tmp_path, {"mesh.yaml": MESH, "bad.yaml": "a: ["})
    before = state(repo.work), state(repo.bare)
    revisions: tuple[str, ...] = (
        "HEAD", "HEAD^{tree}", ":(delete)refs/heads/main", "+refs/heads/*:refs/heads/*",
        "--upload-pack=x", "refs/../config", "HEAD:mesh.yaml",
    )  # fmt: skip
    for revision in revisions:
        code, _, err = run([str(repo.work), f"--rev={revision}"], capsys)
        assert code == (1 if revision.startswith("HEAD") and ":" not in revision else 2), err
    run([str(repo.work)], capsys)
    assert (state(repo.work), state(repo.bare)) == before
