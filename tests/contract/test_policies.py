"""A policy is one slug in fixed places; what is missing is named. See CONTRIBUTING.md.

Also here, because it needs the slugs: a policy's modules import the interface and their own slug,
never another policy, and only hooks know Envoy's messages.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from reconciler.policies import CARRIED, POLICIES

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "reconciler" / "policies"
COMPUTED = [policy.slug for policy in POLICIES]
SLUGS = [policy.slug for policy in (*POLICIES, *CARRIED)]
KINDS = {policy.slug: policy.kind for policy in (*POLICIES, *CARRIED)}
DECLARES_KIND = re.compile(r"^\s*[\"']?(?:type|kind)[\"']?\s*:\s*[\"']?(Mesh\w+)\b", re.MULTILINE)


def snake(kind: str) -> str:
    """MeshHTTPRoute -> mesh_http_route."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()


def slugs_by_place() -> dict[str, set[str]]:
    """Each fixed place and the slugs found there."""
    examples = [
        kind
        for path in (ROOT / "examples-repo").rglob("*")
        if path.suffix in (".yaml", ".yml", ".json")
        for kind in DECLARES_KIND.findall(path.read_text())
    ]
    golden = {p.name for p in ROOT.glob("tests/policies/*") if p.is_dir()}
    carried = set(SLUGS) - set(COMPUTED)  # They change nothing that an example could show.
    defining = [p.stem for p in MODULES.glob("*.py") if re.search(r"(?m)^POLICY\b", p.read_text())]
    return {
        "schemas/policies/{slug}.json": {p.stem for p in ROOT.glob("schemas/policies/*.json")},
        "reconciler/policies/{slug}.py": set(defining),
        "reconciler/policies/__init__.py": set(SLUGS),
        "tests/policies/{slug}/": golden | carried,
        "examples-repo/": ({snake(kind) for kind in examples} & set(SLUGS + defining)) | carried,
    }


def test_every_policy_is_in_every_place() -> None:
    places = slugs_by_place()
    known = {slug for found in places.values() for slug in found} - {"__pycache__"}
    missing = [
        f"{slug}: not in {place.format(slug=slug)}"
        for slug in sorted(known)
        for place, found in places.items()
        if slug not in found
    ]
    assert not missing, "\n" + "\n".join(missing)


@pytest.mark.parametrize("slug", SLUGS)
def test_slug_is_the_kind_in_snake_case(slug: str) -> None:
    assert slug == snake(KINDS[slug])


def test_policies_are_listed_once() -> None:
    assert len(set(SLUGS)) == len(SLUGS)
    assert len(set(KINDS.values())) == len(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_schema_says_what_it_is_for(slug: str) -> None:
    schema = json.loads((ROOT / f"schemas/policies/{slug}.json").read_text())
    assert schema.get("$schema"), "name the JSON Schema dialect"
    assert schema.get("title") or schema.get("description"), "editors show this to users"


@pytest.mark.parametrize("slug", COMPUTED)
def test_golden_cases_are_complete(slug: str) -> None:
    """Each case is an input with either what comes of it, or what is wrong with it."""
    cases = [path for path in (ROOT / "tests/policies" / slug).iterdir() if path.is_dir()]
    assert cases
    for case in cases:
        names = {path.name for path in case.iterdir()}
        assert "input.yaml" in names, case
        assert len(names & {"expected.yaml", "problems.txt"}) == 1, case


def test_hooks_belong_to_a_policy() -> None:
    """`<slug>_hooks.py` stands beside its policy; a shaping policy has none."""
    hooks = {path.stem.removesuffix("_hooks") for path in MODULES.glob("*_hooks.py")}
    assert hooks <= set(SLUGS)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def owner(module: str) -> str | None:
    """The slug a module of `reconciler.policies` belongs to; None for what all policies share."""
    stem = module.removesuffix("_hooks")
    return stem if stem in SLUGS else None


def test_policies_do_not_know_each_other() -> None:
    registries = {"__init__", "hooks"}
    breaches = [
        f"{path.name} imports {name}"
        for path in MODULES.glob("*.py")
        if path.stem not in registries
        for name in imports(path)
        if name.startswith("reconciler.policies.")
        for other in [owner(name.split(".")[2])]
        if other is not None and other != owner(path.stem)
    ]
    assert breaches == []


def test_only_hooks_know_envoys_messages() -> None:
    """So that `reconciler validate` starts without loading them."""
    breaches = [
        f"{path.name} imports {name}"
        for path in MODULES.glob("*.py")
        if not path.stem.endswith("hooks")
        for name in imports(path)
        if name.startswith(("envoy_data_plane", "betterproto2"))
    ]
    assert breaches == []
