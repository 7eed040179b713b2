"""A commit is looked at whole: everything wrong is said, only what changed is read again."""

from __future__ import annotations

import pytest

from reconciler.limits import DEFAULT
from reconciler.load import SUBMODULE, SYMLINK, Blob, Loaded, LoadMemo, load
from reconciler.model.resource import ResourceKey

MESH = "type: Mesh\nname: default\n"
TIMEOUT = (
    "type: MeshTimeout\nname: {}\nspec: {{to: [{{targetRef: {{kind: Mesh}}, default: {}}}]}}\n"
)


def blobs(files: dict[str, str]) -> dict[str, Blob]:
    return {path: Blob(f"oid of {text}", text.encode()) for path, text in files.items()}


def loaded(files: dict[str, str], memo: LoadMemo | None = None) -> Loaded:
    return load(blobs(files), memo or LoadMemo())


def printed(result: Loaded) -> list[str]:
    return [str(problem) for problem in result.problems]


def timeout(name: str, conf: str = "{idleTimeout: 1s}") -> str:
    return TIMEOUT.format(name, conf)


def test_resources_come_with_the_place_that_declares_them() -> None:
    result = loaded({"m.yaml": MESH, "a/b.yaml": f"# two\n---\n{timeout('t')}---\n{timeout('u')}"})
    assert result.problems == ()
    assert {str(key): str(at) for key, at in result.provenance.items()} == {
        "Mesh default": "m.yaml:1:1",
        "MeshTimeout default/t": "a/b.yaml:3:1",
        "MeshTimeout default/u": "a/b.yaml:7:1",
    }
    assert [str(resource.key) for resource in result.resources] == sorted(
        str(key) for key in result.provenance
    )


def test_files_that_are_no_policies_are_not_read() -> None:
    others = {"README.md": "{", "x.yaml.bak": "{"}
    others |= {".pre-commit-config.yaml": "{", ".github/workflows/ci.yml": "{", "a/.b/c.json": "["}
    assert loaded({"m.yaml": MESH, **others}).problems == ()


def test_only_changed_files_are_read_again() -> None:
    memo = LoadMemo()
    files = {f"{i}.yaml": timeout(f"t{i}") for i in range(50)} | {"m.yaml": MESH}
    assert loaded(files, memo).read == 51
    files["7.yaml"] = timeout("t7", "{idleTimeout: 2s}")
    again = loaded(files, memo)
    assert again.read == 1
    assert len(again.resources) == 51


def test_strictness_is_part_of_what_is_remembered() -> None:
    memo = LoadMemo()
    files = {"m.yaml": MESH + "colour: red\n"}
    assert printed(loaded(files, memo))[0].startswith("m.yaml:3:1: SCH005 warning: unknown field")
    strict = loaded({**files, "reconciler.yaml": "strict: true"}, memo)
    assert printed(strict)[0].startswith('m.yaml:3:1: SCH005 unknown field "colour"')


def test_a_misspelt_spec_is_noticed_where_it_stands() -> None:
    result = loaded({"m.yaml": MESH, "a.yaml": "type: MeshTLS\nname: t\nsepc: {}\n"})
    assert printed(result) == ['a.yaml:3:1: DOC004 spec is missing; did you mean it by "sepc"?']


def test_a_spec_of_null_is_a_missing_one() -> None:
    result = loaded({"m.yaml": MESH, "a.yaml": "type: MeshTLS\nname: t\nspec:\n"})
    assert printed(result)[0].endswith("spec is missing; it says what the resource does")


def test_a_file_that_becomes_a_link_of_the_same_content_is_refused() -> None:
    memo = LoadMemo()
    load({"m.yaml": Blob("1", MESH.encode())}, memo)
    again = load({"m.yaml": Blob("1", MESH.encode(), SYMLINK)}, memo)
    assert [problem.code for problem in again.problems] == ["SRC009"]


def test_files_without_an_oid_are_always_read() -> None:
    memo = LoadMemo()
    load({"m.yaml": Blob("", MESH.encode())}, memo)
    assert [
        str(r.key) for r in load({"m.yaml": Blob("", b"type: Mesh\nname: x")}, memo).resources
    ] == ["Mesh x"]


def test_the_memo_keeps_no_more_than_its_limit() -> None:
    memo = LoadMemo(limit=3)
    loaded({f"{i}.yaml": timeout(f"t{i}") for i in range(10)}, memo)
    assert len(memo.held) == 3


def test_the_same_resource_in_two_files_names_both_places() -> None:
    result = loaded({"m.yaml": MESH, "a.yaml": timeout("t"), "b.yaml": "\n" + timeout("t")})
    assert printed(result) == [
        "b.yaml:2:1: DOC009 MeshTimeout default/t is here a second time (first in a.yaml:1:1); "
        "remove one"
    ]


def test_a_mesh_that_does_not_exist_is_told_at_each_resource() -> None:
    result = loaded({"a.yaml": timeout("t"), "b.yaml": timeout("u")})
    assert [problem.code for problem in result.problems] == ["DOC010", "DOC010"]


def test_a_faulty_mesh_is_the_only_thing_wrong() -> None:
    """Its policies have a mesh; they shall not bury the one fault under a hundred others."""
    result = loaded({"m.yaml": MESH + "mtls: {enabledBackend: x}\n", "a.yaml": timeout("t")})
    assert [problem.code for problem in result.problems] == ["MSH003"]


def test_a_mesh_with_a_faulty_label_is_there_for_its_policies() -> None:
    result = loaded({"m.yaml": MESH + "labels: {a b: c}\n", "a.yaml": timeout("t")})
    assert [problem.code for problem in result.problems] == ["DOC011"]


@pytest.mark.parametrize(
    ("head", "field"),
    [
        ("name: A_B", "name"),
        ("mesh: m", "name"),
        ("name: a, mesh: 5", "mesh"),
        ("name: a, labels: 5", "labels"),
    ],
)
def test_of_a_faulty_head_the_spec_is_looked_at_too(head: str, field: str) -> None:
    spec = "{to: [{targetRef: {kind: Mesh}, default: {connectionTimeout: 0s}}]}"
    result = loaded({"a.yaml": f"{{type: MeshTimeout, {head}, spec: {spec}}}", "m.yaml": MESH})
    fields = {problem.at.field for problem in result.problems}
    assert fields == {field, "spec.to[0].default.connectionTimeout"}
    assert [each.key.type for each in result.resources] == ["Mesh"]


def test_every_fault_of_a_commit_is_told_at_once_in_order() -> None:
    result = loaded(
        {
            "m.yaml": MESH,
            "a.yaml": timeout("t", "{idleTimeout: soon, connectionTimeout: 0s}") + "x: *y\n",
            "b.yaml": timeout("B") + "---\ntype: MeshTimeot\nname: a\n",
        }
    )
    assert [(p.at.path, p.code) for p in result.problems] == [
        ("a.yaml", "SRC004"),
        ("b.yaml", "DOC003"),
        ("b.yaml", "DOC002"),
    ]
    second = loaded({"m.yaml": MESH, "a.yaml": timeout("t", "{idleTimeout: soon, http: {}}")})
    assert [problem.code for problem in second.problems] == ["MT003", "MT005"]


@pytest.mark.parametrize(
    "type_", ["Dataplane", "DataplaneInsight", "ZoneIngress", "ZoneEgress", "MeshService",
              "Workload", "ServiceInsight", "ZoneInsight", "Config"],
)  # fmt: skip
def test_what_zones_own_is_refused_with_the_reason(type_: str) -> None:
    result = loaded({"m.yaml": MESH, "a.yaml": f"type: {type_}\nname: a\n"})
    assert [problem.code for problem in result.problems] == ["DOC007"]
    assert result.resources[0].key.type == "Mesh"


@pytest.mark.parametrize("type_", ["Secret", "GlobalSecret"])
def test_secrets_are_refused_and_not_quoted(type_: str) -> None:
    result = loaded({"m.yaml": MESH, "a.yaml": f"type: {type_}\nname: a\ndata: c2VjcmV0\n"})
    assert [problem.code for problem in result.problems] == ["DOC008"]
    assert "c2VjcmV0" not in str(result)


def test_the_null_that_a_json_patch_sets_is_carried() -> None:
    steps = "jsonPatches: [{op: add, path: /a, value: null}]"
    change = f"{{cluster: {{operation: Patch, {steps}}}}}"
    patch = f"spec: {{default: {{appendModifications: [{change}]}}}}\n"
    result = loaded({"m.yaml": MESH, "p.yaml": f"type: MeshProxyPatch\nname: p\n{patch}"})
    assert result.problems == ()
    assert '{"op":"add","path":"/a","value":null}' in result.resources[1].body


def test_a_null_field_of_a_legacy_kind_is_a_field_left_out() -> None:
    result = loaded({"m.yaml": "type: Mesh\nname: default\nmtls:\nrouting: {zoneEgress: null}\n"})
    assert result.problems == ()
    assert result.resources[0].body == '{"routing":{}}'


def test_a_null_field_of_another_kind_is_no_value() -> None:
    spec = "spec: {targetRef: null, to: [{targetRef: {kind: Mesh}, default: {idleTimeout: 1s}}]}\n"
    result = loaded({"m.yaml": MESH, "t.yaml": f"type: MeshTimeout\nname: t\n{spec}"})
    assert printed(result) == ["t.yaml:3:19: SCH001 must be an object, not null"]


def test_of_a_document_that_does_not_fit_its_schema_the_rules_say_nothing_else() -> None:
    """As Kuma, whose rules see only what fits."""
    spec = "{to: [{targetRef: {kind: Pod}, default: {}}, {targetRef: {kind: MeshSubset}}]}"
    result = loaded({"m.yaml": MESH, "t.yaml": f"type: MeshTimeout\nname: t\nspec: {spec}\n"})
    assert [problem.at.field for problem in result.problems] == ["spec.to[0].targetRef.kind"]
    assert "TR001" in printed(result)[0]


def test_a_value_is_refused_once_though_its_rule_names_the_field_otherwise() -> None:
    spec = "{rules: [{default: {outlierDetection: {interval: x, detectors: {totalFailures: {}}}}}]}"
    text = f"type: MeshCircuitBreaker\nname: t\nspec: {spec}\n"
    result = loaded({"m.yaml": MESH, "t.yaml": text})
    (problem,) = result.problems
    assert problem.code == "VAL004"
    assert problem.at.field == "spec.from[0].default.outlierDetection.interval"


def test_two_missing_fields_of_an_object_are_two_problems() -> None:
    spec = "{rules: [{default: {idleTimeout: 1s}, matches: [{spiffeID: {}}]}]}"
    result = loaded({"m.yaml": MESH, "t.yaml": f"type: MeshTimeout\nname: t\nspec: {spec}\n"})
    assert [p.at.field for p in result.problems if p.severity == "error"] == [
        "spec.rules[0].matches[0].spiffeID.type",
        "spec.rules[0].matches[0].spiffeID.value",
    ]


def test_a_comment_is_no_change() -> None:
    one = loaded({"m.yaml": MESH, "a.yaml": timeout("t")})
    two = loaded({"m.yaml": "# the mesh\n" + MESH, "dir/x.json": "\n" + timeout("t")})
    assert one.resources == two.resources


@pytest.mark.parametrize(
    ("blob", "code"),
    [
        (Blob("1", b"", SYMLINK), "SRC009"),
        (Blob("1", b"", SUBMODULE), "SRC009"),
        (Blob("1", b"", 0o040000), "SRC009"),
        (Blob("1", None), "SRC002"),
        (Blob("1", b"a: \xff"), "SRC001"),
    ],
)
@pytest.mark.parametrize("path", ["a.yaml", "reconciler.yaml"])
def test_what_cannot_be_read_is_a_problem(path: str, blob: Blob, code: str) -> None:
    """Of the settings too: the defaults are laxer than what was meant."""
    result = load({path: blob}, LoadMemo())
    assert [(problem.at.path, problem.code) for problem in result.problems] == [(path, code)]


@pytest.mark.parametrize(
    "path",
    ["../a.yaml", "a/.git/b.yaml", ".GIT/b.yaml", "git~1/a.yaml", "a//b.yaml", "a\\b.yaml",
     "C:a.yaml", "a\u200cb.yaml", "\x1b[31m.yaml", ". /a.yaml"],
)  # fmt: skip
def test_names_that_no_checkout_accepts_are_refused(path: str) -> None:
    result = load({path: Blob("1", MESH.encode())}, LoadMemo())
    assert [problem.code for problem in result.problems] == ["SRC012"]
    assert result.resources == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("strict: yes", 'reconciler.yaml:1:9: SCH001 must be true or false, not "yes"'),
        ("strct: true", "reconciler.yaml:1:1: SCH005 unknown field"),
        ("[]", "reconciler.yaml:1:1: SCH001 must be an object, not a list"),
        ("strict: true\n---\nstrict: false", "reconciler.yaml:3:1: DOC012 reconciler.yaml is one"),
    ],
)
def test_settings_that_are_not_understood_are_refused(text: str, problem: str) -> None:
    result = loaded({"reconciler.yaml": text})
    assert printed(result)[0].startswith(problem)
    assert len(result.problems) == 1


def test_a_tree_with_more_files_than_the_limit_is_refused_unread() -> None:
    many = {f"{i}.yaml": Blob(str(i), b"") for i in range(DEFAULT.tree_entries + 1)}
    result = load(many, LoadMemo())
    assert [problem.code for problem in result.problems] == ["SRC008"]
    assert result.read == 0
    many.popitem()
    assert load(many, LoadMemo()).problems == ()


def test_what_people_wrote_cannot_break_a_line_of_the_report() -> None:
    result = loaded({"a.yaml": 'type: "Mesh\\n::error::\\u001b[31m"\nname: a\n'})
    (problem,) = printed(result)
    assert problem.isprintable()
    assert r"Mesh\n::error::\x1b[31m" in problem


def test_a_null_in_a_known_field_is_refused_where_kuma_refuses_it() -> None:
    head = "type: MeshTimeout\nmesh: default\nname: t\nspec:\n"
    items = "[{targetRef: {kind: Mesh}, default: {idleTimeout: null}}]"
    text = f"{head}  targetRef: null\n  to: {items}\n"
    found = loaded({"m.yaml": MESH, "a.yaml": text}).problems
    assert [p.at.field for p in found] == ["spec.targetRef", "spec.to[0].default.idleTimeout"]
    kubernetes = (
        "apiVersion: kuma.io/v1alpha1\nkind: MeshTimeout\nmetadata: {name: t}\nspec:\n"
        "  targetRef: null\n  to: [{targetRef: {kind: Mesh}, default: {idleTimeout: 1s}}]\n"
    )
    assert loaded({"m.yaml": MESH, "a.yaml": kubernetes}).problems == ()


def test_labels_that_no_api_takes_are_refused() -> None:
    text = f"type: Mesh\nname: default\nlabels:\n  ok: a.b_c\n  long: {'a' * 64}\n"
    (problem,) = printed(loaded({"m.yaml": text}))
    assert problem.startswith("m.yaml:5:9: DOC011 this is no value of label")
    keys = ["a b: c", "example.org/A_b: ''", "/x: y", "'': z", "B/a: c"]
    text = "type: Mesh\nname: default\nlabels:\n" + "".join(f"  {key}\n" for key in keys)
    lines = printed(loaded({"m.yaml": text}))
    assert [line.split(" ")[0] for line in lines] == [f"m.yaml:{n}:3:" for n in (4, 6, 7, 8)]


def test_a_provided_ca_does_not_bring_its_private_key() -> None:
    backend = (
        "{name: a, type: provided, conf: {cert: {inlineString: c}, key: {inlineString: PRIVATE}}}"
    )
    result = loaded({"m.yaml": MESH + f"mtls: {{backends: [{backend}]}}\n"})
    assert [problem.code for problem in result.problems] == ["MSH009"]
    assert "PRIVATE" not in str(result.problems)


def test_the_key_of_a_resource_is_type_mesh_and_name() -> None:
    other = "type: Mesh\nname: other\n"
    result = loaded(
        {
            "m.yaml": MESH,
            "o.yaml": other,
            "a.yaml": timeout("t"),
            "b.yaml": timeout("t").replace("name: t", "name: t\nmesh: other"),
        }
    )
    assert result.problems == ()
    assert ResourceKey("MeshTimeout", "other", "t") in result.provenance


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("type: MeshTLS\nname: t\nmesh: other\nspec: {rules: [{}]}\n", "a.yaml:3:7"),
        ("type: TrafficTrace\nname: t\nmesh: other\nselectors: [{match: {a: b}}]\n", "a.yaml:3:7"),
        (
            "apiVersion: kuma.io/v1alpha1\nkind: MeshTLS\nmetadata:\n  name: t\n  labels:\n"
            "    kuma.io/mesh: other\nspec: {rules: [{}]}\n",
            "a.yaml:6:19",
        ),
        ("type: MeshTLS\nname: t\nspec: {rules: [{}]}\n", "a.yaml:1:1"),
    ],
)
def test_a_missing_mesh_is_told_where_it_is_named(text: str, place: str) -> None:
    (problem,) = printed(loaded({"a.yaml": text}))
    assert problem.startswith(f"{place}: DOC010 mesh ")


def test_the_two_forms_mixed_up_are_told_apart() -> None:
    """Else the policy silently is one of another mesh."""
    text = (
        "apiVersion: kuma.io/v1alpha1\nkind: MeshTLS\nmesh: prod\nlabels: {}\nmetadata:\n"
        "  name: t\n  label: {}\nspec: {rules: [{}]}\n"
    )
    assert printed(loaded({"m.yaml": MESH, "a.yaml": text})) == [
        'a.yaml:3:1: SCH005 warning: unknown field "mesh"; '
        "in this form the label kuma.io/mesh names the mesh",
        'a.yaml:4:1: SCH005 warning: unknown field "labels"; move it into metadata',
        'a.yaml:7:3: SCH005 warning: unknown field "label"; did you mean "labels"?',
    ]


@pytest.mark.parametrize("mark", ["kind", "apiVersion"])
def test_a_type_says_the_form_beside_a_field_of_the_other(mark: str) -> None:
    result = loaded({"m.yaml": MESH, "a.yaml": f"{mark}: Mesh\n" + timeout("t")})
    assert printed(result) == [
        f'a.yaml:1:1: SCH005 warning: unknown field "{mark}"; known here: spec, labels, mesh, name'
    ]
    assert len(result.resources) == 2


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ('{to: [{targetRef: {kind: MeshService, name: "a\\n"}, default: {}}]}', "VAL010"),
        ("{to: [{targetRef: {kind: Mesh}, default: {idleTimeout: 2562048h}}]}", "MT003"),
        ("{to: [{targetRef: {kind: MeshService, namespace: n, labels: {a: b}}}]}", "TR003"),
    ],
)
def test_what_a_zone_could_not_read_does_not_reach_it(spec: str, problem: str) -> None:
    """A line break behind a name; a duration over 64 bits of nanoseconds; a mixed target."""
    text = f"type: MeshTimeout\nname: t\nspec: {spec}\n"
    result = loaded({"m.yaml": MESH, "a.yaml": text})
    assert problem in [found.code for found in result.problems]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("{targetRef: Mesh, to: []}", '14: SCH001 must be an object, not "Mesh"'),
        ("{to: [null]}", "8: SCH001 must be an object, not null"),
        ("{to: [{targetRef: [], default: {idleTimeout: 1s}}]}", "20: SCH001 must be an object"),
        ("{targetRef: {}, to: []}", "14: TR001 kind is missing; use one of Mesh, Dataplane"),
    ],
)
def test_a_part_of_the_wrong_type_is_named_as_such(spec: str, problem: str) -> None:
    result = loaded({"m.yaml": MESH, "a.yaml": f"type: MeshTimeout\nname: t\nspec:\n {spec}\n"})
    assert any(text.startswith(f"a.yaml:4:{problem}") for text in printed(result)), printed(result)
