"""Policies as people write them, and what they do: one folder a case,
`tests/policies/<slug>/<case>/`.

`input.yaml` holds a policy repository's documents. With `problems.txt` beside it, these are the
problems it has, as printed. With `expected.yaml`, its first document says what to look at:

    proxy: web            the Dataplane (or ZoneIngress) whose configuration is computed;
    Dataplanes, and ZoneIngresses
    zone: east            of other zones, stand among the documents
    show: [clusters backend connectTimeout]      kind, name, and the field or `*`

`make golden` rewrites what is expected; look at the diff.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconciler.decode import mesh_resource
from reconciler.load import Blob, LoadMemo, load
from reconciler.model.resource import Labels, ResourceKey
from reconciler.offline import proxies_of, rendered
from reconciler.problems import has_errors
from xds.readable import readable_snapshot

if TYPE_CHECKING:
    from xds.snapshot import Snapshot

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/*/input.yaml"))
LOCAL = ("Dataplane", "ZoneIngress")


def problems(text: str) -> str:
    found = load({"input.yaml": Blob("", text.encode())}, LoadMemo())
    return "".join(f"{problem}\n" for problem in found.problems)


def shown(text: str) -> str:
    snapshot: Any = readable_snapshot(computed(text))
    head = next(yaml.safe_load_all(text))
    answer = {line: _part(snapshot, *line.split(" ", 2)) for line in head["show"]}
    return yaml.safe_dump(answer, sort_keys=True, width=100)


def computed(text: str) -> Snapshot:
    """Of the proxy that a case is about."""
    head, *documents = list(yaml.safe_load_all(text))
    zone = head.get("zone", "east")
    policies = [d for d in documents if d["type"] not in LOCAL]
    loaded = load({"p.yaml": Blob("", yaml.safe_dump_all(policies).encode())}, LoadMemo())
    assert not has_errors(loaded.problems), [str(p) for p in loaded.problems]
    own = {d["name"]: d for d in documents if d["type"] in LOCAL and d.get("zone", zone) == zone}
    remote = [d for d in documents if d["type"] == "ZoneIngress" and d.get("zone", zone) != zone]
    proxies = proxies_of(own, zone)
    wanted = next(p.key for p in proxies if p.key.name == head["proxy"])
    return rendered(loaded.resources, proxies, tuple(map(_relayed, remote)), wanted, zone).snapshot


def _relayed(document: dict[str, Any]) -> Any:
    data = {k: v for k, v in document.items() if k not in ("type", "name")}
    labels = Labels.of({"kuma.io/zone": document["zone"], "kuma.io/origin": "global"})
    return mesh_resource(ResourceKey("ZoneIngress", "", document["name"]), labels, data)


def _part(snapshot: Any, kind: str, name: str, field: str) -> Any:
    named = "clusterName" if kind == "endpoints" else "name"
    resource = next((r for r in snapshot[kind] if r[named] == name), "no such resource")
    if field == "*" or isinstance(resource, str):
        return resource
    return list(_deep(resource, field))


def _deep(value: Any, field: str) -> Any:
    """Every value under this key, wherever it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == field:
                yield inner
            else:
                yield from _deep(inner, field)
    elif isinstance(value, list):
        for inner in value:
            yield from _deep(inner, field)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.parent.name}/{c.name}")
def test_case(case: Path, rewrite_golden: bool) -> None:
    text = (case / "input.yaml").read_text()
    file = case / "problems.txt"
    found = problems(text) if file.exists() else shown(text)
    if not file.exists():
        file = case / "expected.yaml"
    if rewrite_golden:
        file.write_text(found)
    assert file.read_text() == found, (
        "run `make golden` if the change is meant, and look at the diff"
    )
