"""`make policy NAME=MeshFoo`: a stub in each of a policy's fixed places.

The stubs are one working policy with one field, `limit`: the contract test passes at once, and
what is to be written replaces what is there. Nothing that exists is overwritten. Inserting into
`POLICIES` edits text: the tuple is a literal, so that its order can be read.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

KIND = re.compile(r"Mesh([A-Z][a-z0-9]*|[A-Z]+(?=[A-Z]|$))+")
PLACES = {
    "schemas/policies/{slug}.json": """\
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "{kind}",
  "description": "What {kind} is for, in the words of who writes it.",
  "type": "object",
  "properties": {
    "targetRef": {"type": "object"},
    "to": {
      "type": "array",
      "items": {
        "type": "object",
        "properties": {
          "targetRef": {"type": "object"},
          "default": {
            "type": "object",
            "properties": {
              "limit": {"type": "integer", "minimum": 1, "description": "What it limits."}
            },
            "additionalProperties": false
          }
        },
        "required": ["targetRef", "default"],
        "additionalProperties": false
      }
    }
  },
  "additionalProperties": false
}
""",
    "reconciler/policies/{slug}.py": '''\
"""{kind}: what it is for, in one sentence.

What surprises its users, and where the peer's behaviour differs from what one would expect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.merge import over
from reconciler.policies.document import check_sections, decode_lists
from reconciler.policies.policy import SERVICE_KINDS, PolicyType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.spec import PolicySpec
    from reconciler.policies.document import Fields
    from reconciler.policies.policy import At
    from reconciler.problems import Problem


@dataclass(frozen=True, slots=True)
class Conf:
    """What one item says; None: nothing said."""

    limit: int | None = None


def merge(weak: Conf, strong: Conf) -> Conf:
    return Conf(limit=over(weak.limit, strong.limit))


def decode(spec: Fields) -> PolicySpec:
    return decode_lists(spec, decode_conf)


def decode_conf(default: Fields) -> Conf:
    limit = default.get("limit")
    return Conf(limit=limit if isinstance(limit, int) else None)


def check(spec: Fields, at: At) -> Iterator[Problem]:
    yield from check_sections(POLICY, spec, at)


POLICY = PolicyType(
    kind="{kind}",
    slug="{slug}",
    decode=decode,
    check=check,
    merge=merge,
    to_kinds=("Mesh", *SERVICE_KINDS),
)
''',
    "tests/policies/{slug}/does_nothing/input.yaml": """\
type: {kind}
mesh: default
name: does-nothing
spec:
  targetRef: {kind: Mesh}
""",
    "tests/policies/{slug}/does_nothing/problems.txt": """\
input.yaml: make golden writes this file
""",
    "examples-repo/policies/{slug}.yaml": """\
# What this use is for.
type: {kind}
mesh: default
name: example-{words}
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: Mesh}
      default:
        limit: 100
""",
}
REGISTRY = "reconciler/policies/__init__.py"


def snake(kind: str) -> str:
    """MeshHTTPRoute -> mesh_http_route."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind).lower()


def registered(text: str, slug: str) -> str:
    """The registry's text with the policy imported and last in the tuple."""
    imports = re.search(r"from reconciler\.policies import (\([\w\s,]+\)|[\w ,]+)\n", text)
    tuple_end = re.search(r"(?ms)^POLICIES\b.*?\(\n.*?(?=^\))", text)
    if imports is None or tuple_end is None:
        raise ValueError(f"{REGISTRY} has another form than expected; add {slug} by hand")
    names = sorted({*re.findall(r"\w+", imports[1]), slug})
    body = "".join(f"    {name},\n" for name in names)
    text = text[: tuple_end.end()] + f"    {slug}.POLICY,\n" + text[tuple_end.end() :]
    return text.replace(imports[0], f"from reconciler.policies import (\n{body})\n", 1)


def scaffold(root: Path, kind: str) -> list[Path]:
    """Writes the stubs below `root`; returns what was written. Refuses to overwrite."""
    if not KIND.fullmatch(kind):
        raise ValueError(f"{kind} is no policy kind: write it like MeshFoo")
    slug = snake(kind)
    words = {"kind": kind, "slug": slug, "words": slug.removeprefix("mesh_").replace("_", "-")}
    stubs = {root / fill(place, words): fill(text, words) for place, text in PLACES.items()}
    existing = [str(path) for path in stubs if path.exists()]
    if existing:
        raise ValueError(f"{kind} is already there: {', '.join(existing)}")
    registry = root / REGISTRY
    text = registered(registry.read_text(), slug)
    for path, stub in stubs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stub)
    registry.write_text(text)
    return [*stubs, registry]


def fill(template: str, words: dict[str, str]) -> str:
    """Replaces `{kind}`, `{slug}` and `{words}`; every other brace is the template's own."""
    return re.sub(r"\{(kind|slug|words)\}", lambda found: words[found[1]], template)


def main() -> int:
    root = Path.cwd()
    try:
        written = scaffold(root, sys.argv[1])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for path in written:
        print(path.relative_to(root))
    print("next: the schema and the conf, golden cases, then `make golden` and `make check`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
