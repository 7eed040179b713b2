"""Laws of reading documents: JSON reads back, nothing a user writes stops the loader, what passes
fits the wire, and an incremental load equals one from scratch.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.kds.codec import CarriedResource, canonical_data, encode_carried
from reconciler.load import Blob, LoadMemo, load
from reconciler.problems import has_errors
from reconciler.source.yaml import documents

ROOT = Path(__file__).parents[2]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
    | st.sampled_from(["1m", "1h30m", "5s\n", "-1s", "on", "017", "1e5", "", "~", "a: b", "Mesh"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc/._-", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)

RICH_MESH = """\
type: Mesh
name: default
labels: {team: a}
mtls:
  enabledBackend: ca-1
  backends:
    - name: ca-1
      type: builtin
      mode: PERMISSIVE
      dpCert: {rotation: {expiration: 2d}, requestTimeout: 1m}
      rootChain: {requestTimeout: 1h30m}
      conf: {caCert: {RSAbits: 3072, expiration: 5y}}
tracing:
  defaultBackend: z
  backends: [{name: z, type: zipkin, sampling: 50.5, conf: {url: 'http://zipkin:9411/x'}}]
logging: {backends: [{name: f, type: file, format: x, conf: {path: /dev/stdout}}]}
metrics: {enabledBackend: p, backends: [{name: p, type: prometheus, conf: {port: 5670}}]}
networking: {outbound: {passthrough: false}}
routing: {localityAwareLoadBalancing: true, zoneEgress: true}
constraints: {dataplaneProxy: {requirements: [{tags: {team: '*'}}], restrictions: []}}
meshServices: {mode: Exclusive}
skipCreatingInitialPolicies: ['*']
"""
RICH_ROUTE = """\
type: MeshHTTPRoute
name: r
spec:
  targetRef: {kind: Dataplane, labels: {app: web}}
  to:
    - targetRef: {kind: MeshService, name: backend, sectionName: http}
      rules:
        - matches:
            - path: {type: RegularExpression, value: /a.*}
              method: GET
              headers: [{type: Present, name: x}]
              queryParams: [{type: Exact, name: q, value: v}]
          default:
            filters:
              - {type: RequestMirror, requestMirror: {percentage: '1.5', backendRef:
                  {kind: MeshService, name: b}}}
              - {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /}}}
            backendRefs: [{kind: MeshServiceSubset, name: b, tags: {v: a}, weight: 3}]
"""
RICH_RULES = """\
type: MeshTrafficPermission
name: p
spec:
  rules:
    - default:
        allow: [{spiffeID: {type: Prefix, value: 'spiffe://default/ns'}}]
        deny: [{sni: {type: Exact, value: a.b}}]
---
apiVersion: kuma.io/v1alpha1
kind: MeshTimeout
metadata: {name: t, namespace: kuma-system, labels: {kuma.io/mesh: default}}
spec:
  rules:
    - matches: [{spiffeID: {type: Exact, value: 'spiffe://default/web'}}]
      default: {http: {requestTimeout: 1s}}
"""
EXAMPLES = [path.read_text() for path in sorted((ROOT / "examples-repo").glob("[!.]*/*.yaml"))]
EXAMPLES += [path.read_text() for path in (ROOT / "examples-repo").glob("*.yaml")]
SAMPLES = [
    document
    for text in (*EXAMPLES, RICH_MESH, RICH_ROUTE, RICH_RULES)
    for document in yaml.safe_load_all(text)
    if "strict" not in document
]


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    children = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return found + [path for key, child in children for path in paths(child, (*at, key))]


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A valid document with one or two parts replaced by anything, or taken away."""
    document = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(paths(document)))
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if draw(st.booleans()):
            parent[path[-1]] = draw(JSON)
        else:
            del parent[path[-1]]
        if not paths(document):
            break
    return document


def loaded(document: Any, *, strict: bool = False) -> Any:
    files = {"d.json": json.dumps(document, ensure_ascii=False)}
    if strict:
        files["reconciler.yaml"] = "strict: true"
    return load({name: Blob("", text.encode()) for name, text in files.items()}, LoadMemo())


def test_the_samples_have_no_fault() -> None:
    """Else the laws below would say little. The only fault is the Mesh that is another document."""
    for document in SAMPLES:
        codes = {p.code for p in loaded(document, strict=True).problems if has_errors([p])}
        assert codes <= {"DOC010"}, (document, codes)


@given(JSON)
@example({"a": "017", "b": 17, "c": "1e5", "d": 1e5, "e": "12:30", "f": [None, True]})
def test_json_reads_back_as_it_is(value: Any) -> None:
    found, faults = documents(json.dumps(value, ensure_ascii=False).encode())
    assert faults == ()
    assert [document.data for document in found] == ([value] if value is not None else [])


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
@example(b"? ? a")
@example(b"--- !!map\n")
@example("﻿a: \x85b".encode())
def test_no_bytes_stop_the_reader(data: bytes) -> None:
    _, faults = documents(data)
    assert all(line >= 1 and column >= 1 for line, column in (f.place for f in faults))


# `re` warns of what another version of Python may read as a set; Envoy's RE2 does not.
@pytest.mark.filterwarnings("ignore:Possible (nested set|set):FutureWarning")
@given(damaged())
def test_no_document_stops_the_loader_and_what_passes_fits_the_wire(document: Any) -> None:
    result = loaded(document)
    assert all(problem.message.isprintable() for problem in result.problems)
    if has_errors([p for p in result.problems if p.code != "DOC010"]):
        return
    for resource in result.resources:
        key = resource.key
        data = canonical_data(key.type, json.loads(resource.body))
        labels = dict(resource.labels.items())
        encode_carried(CarriedResource(key.type, key.mesh, key.name, labels, json.dumps(data)))


@pytest.mark.filterwarnings("ignore:Possible (nested set|set):FutureWarning")
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), damaged(), max_size=3), max_size=4))
def test_an_incremental_load_equals_one_from_scratch(commits: list[dict[str, Any]]) -> None:
    memo = LoadMemo()
    for files in commits:
        texts = {f"{name}.json": json.dumps(document) for name, document in files.items()}
        blobs = {name: Blob(text, text.encode()) for name, text in texts.items()}
        again, fresh = load(blobs, memo), load(blobs, LoadMemo())
        assert (again.resources, again.problems, again.provenance) == (
            fresh.resources,
            fresh.problems,
            fresh.provenance,
        )
