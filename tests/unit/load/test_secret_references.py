"""secrets.yaml as people write it: what it may name, and who needs what it names."""

from __future__ import annotations

import pytest

from reconciler.load import Blob, Loaded, LoadMemo, load

MESH = "type: Mesh\nname: default\n"
PROVIDED = """type: Mesh
name: default
mtls:
  backends:
    - name: ca-1
      type: provided
      conf:
        cert: {inlineString: x}
        key: {secret: ca-key}
"""


def loaded(secrets: str, mesh: str = MESH, **files: str) -> Loaded:
    found = {"mesh.yaml": mesh, "secrets.yaml": secrets, **files}
    return load({path: Blob("", text.encode()) for path, text in found.items()}, LoadMemo())


def told(secrets: str, mesh: str = MESH, **files: str) -> list[str]:
    """`place code` of every problem."""
    return [f"{p.at} {p.code}" for p in loaded(secrets, mesh, **files).problems]


def test_secrets_of_meshes_and_global_ones_are_listed() -> None:
    found = loaded(
        "secrets:\n"
        "  - {mesh: default, name: ca-key, file: default/ca.key}\n"
        "  - {name: zone-token-revocations, env: RECONCILER_SECRET_REVOKED}\n",
        PROVIDED,
    )
    assert found.problems == ()
    assert [(str(s), s.key.type, s.source, s.place, str(s.at)) for s in found.secrets] == [
        (
            'secret "ca-key" of mesh default', "Secret", "file", "default/ca.key",
            "secrets.yaml:2:5",
        ),
        (
            'secret "zone-token-revocations"', "GlobalSecret", "env", "RECONCILER_SECRET_REVOKED",
            "secrets.yaml:3:5",
        ),
    ]  # fmt: skip
    (need,) = found.needs
    assert (need.secret.name, str(need.at)) == ("ca-key", "mesh.yaml:9:23")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{name: a}", "2:5 SEC001"),
        ("{name: a, file: x, env: X}", "2:5 SEC001"),
        ("{name: a, file: /etc/shadow}", "2:21 SEC002"),
        ("{name: a, file: ../x}", "2:21 SEC002"),
        ("{name: a, file: x/../../y}", "2:21 SEC002"),
        ("{name: a, file: ./x}", "2:21 SEC002"),
        ("{name: a, file: x//y}", "2:21 SEC002"),
        ("{name: a, file: x/}", "2:21 SEC002"),
        ("{name: a, file: ~/x}", "2:21 SEC002"),
        (r'{name: a, file: "x\\y"}', "2:21 SEC002"),
        (r'{name: a, file: "x\u0000"}', "2:21 SEC002"),
        ("{name: zone-token-signing-key-1, file: x}", "2:12 SEC003"),
        ("{name: zone-token-signing-public-key-1, file: x}", "2:12 SEC003"),
        ("{mesh: default, name: dataplane-token-signing-key-default-2, file: x}", "2:27 SEC003"),
        ("{mesh: default, name: default.ca-builtin-key-ca-1, file: x}", "2:27 SEC003"),
        ("{mesh: other, name: a, file: x}", "2:5 DOC010"),
        ("{name: a, value: hunter2, file: x}", "2:15 SCH005"),
        ("{name: a, env: path}", "2:20 SCH002"),
        ("{name: A, file: x}", "2:12 SCH002"),
        ("{name: 1, file: x}", "2:12 SCH001"),
        ("{file: x}", "2:5 SCH003"),
        ("7", "2:5 SCH001"),
    ],
)
def test_entry_that_names_something_else_is_told_at_its_place(entry: str, problem: str) -> None:
    assert told(f"secrets:\n  - {entry}\n") == [f"secrets.yaml:{problem}"]


def test_secret_is_listed_once() -> None:
    twice = "secrets:\n  - {name: a, file: x}\n  - {name: a, file: y}\n"
    assert told(twice) == ["secrets.yaml:3:5 SEC004"]
    assert told("secrets:\n  - {name: a, file: x}\n  - {mesh: default, name: a, file: y}\n") == []


def test_what_a_mesh_needs_is_listed() -> None:
    assert told("secrets: []\n", PROVIDED) == ["mesh.yaml:9:23 SEC005"]
    # A global secret of the name is another one.
    other = "secrets:\n  - {name: ca-key, file: x}\n"
    assert told(other, PROVIDED) == ["mesh.yaml:9:23 SEC005"]


def test_tags_that_are_called_secret_are_no_reference() -> None:
    tags = {"dataplaneProxy": {"requirements": [{"tags": {"secret": "x"}}]}}
    assert told("secrets: []\n", f"{MESH}constraints: {tags}\n") == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [", "SRC001"),
        ("secrets: {}\n", "SCH001"),
        ("secrets: []\n---\nsecrets: []\n", "DOC012"),
        ("secrets: []\nsecret: []\n", "SCH005"),
        ("- a\n", "SCH001"),
    ],
)
def test_file_that_cannot_be_read_is_a_problem_not_an_empty_list(text: str, code: str) -> None:
    found = loaded(text)
    assert [p.code for p in found.problems] == [code]
    assert found.problems[0].severity == "error"
    assert found.secrets == ()


def test_size_and_number_are_limited() -> None:
    entry = "  - {{name: s{}, file: x}}\n"
    most = "secrets:\n" + "".join(entry.format(n) for n in range(1000))
    assert told(most) == []
    assert [line.split()[1] for line in told(most + entry.format(1000))] == ["SCH002"]
    files = {"mesh.yaml": Blob("", MESH.encode()), "secrets.yaml": Blob("", None)}
    assert [p.code for p in load(files, LoadMemo()).problems] == ["SRC002"]
    link = {"mesh.yaml": Blob("", MESH.encode()), "secrets.yaml": Blob("", b"x", 0o120000)}
    assert [p.code for p in load(link, LoadMemo()).problems] == ["SRC009"]
