"""The files of a status ref: exact bytes, safe paths, hostile readers' input refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.kds.manifest import Rejection
from reconciler.model.resource import canonical_json
from reconciler.status import document
from reconciler.status.document import (
    Inventory,
    ProxyClass,
    ProxyEntry,
    Rendering,
    StatusInput,
    StatusUnreadable,
    files,
    files_digest,
    parse_ingress,
    path_name,
    summary,
)

INGRESS = canonical_json(
    {
        "name": "ingress-west",
        "networking": {"address": "10.0.0.1", "port": 10001},
        "availableServices": [
            {"instances": 2, "mesh": "default", "tags": {"kuma.io/service": "backend"}}
        ],
    }
)
SHAPE = canonical_json(
    {"inbounds": [{"port": 80, "tags": {"kuma.io/service": "backend", "version": "1.0"}}]}
)
STATUS = StatusInput(
    zone="west",
    revision="4f2a9c",
    ingresses=(INGRESS,),
    total=3,
    acked=2,
    pending=0,
    rejections=(Rejection("default", "dp-1", "Listener", "bad: config", ("MeshTimeout/t",)),),
    classes=(ProxyClass("default", SHAPE, 2),),
)


def test_the_files_read_as_people_expect_them() -> None:
    found = {path: body.decode() for path, body in files(STATUS).items()}
    header = "# Written by the control plane of zone west. Do not edit: changes are overwritten.\n"
    assert found == {
        "applied.yaml": header + 'format: 3\nrevision: "4f2a9c"\n'
        "proxies:\n"
        "  total: 3\n"
        "  acked: 2\n"
        "  pending: 0\n"
        "  rejected: 1\n"
        "rejections:\n"
        "  - mesh: default\n"
        "    proxy: dp-1\n"
        "    type: Listener\n"
        '    message: "bad: config"\n'
        "    policies:\n"
        "      - MeshTimeout/t\n",
        "ingress.yaml": header + "format: 3\n---\ntype: ZoneIngress\n"
        "name: ingress-west\n"
        "availableServices:\n"
        "  - instances: 2\n"
        "    mesh: default\n"
        "    tags:\n"
        "      kuma.io/service: backend\n"
        "networking:\n"
        '  address: "10.0.0.1"\n'
        "  port: 10001\n",
        "proxies/default/backend.yaml": header + "format: 3\nmesh: default\n"
        "service: backend\n"
        "classes:\n"
        "  - count: 2\n"
        "    inbounds:\n"
        "      - port: 80\n"
        "        tags:\n"
        "          kuma.io/service: backend\n"
        '          version: "1.0"\n',
    }


def test_the_global_reads_back_what_the_zone_wrote() -> None:
    (ingress,) = parse_ingress(files(STATUS)["ingress.yaml"])
    assert ingress["type"] == "ZoneIngress"
    assert ingress["networking"] == {"address": "10.0.0.1", "port": 10001}
    assert parse_ingress(files(StatusInput(zone="east"))["ingress.yaml"]) == ()


@pytest.mark.parametrize("head", [b"", b"format: 1\n---\n", b"format: 3\n---\n"])
def test_the_previous_formats_are_read(head: bytes) -> None:
    (ingress,) = parse_ingress(head + b"type: ZoneIngress\nname: i\n")
    assert ingress == {"type": "ZoneIngress", "name": "i"}


@pytest.mark.parametrize(
    ("number", "why"), [("4", "upgrade this control plane"), ("x", "no format"), ("0", "no format")]
)
def test_a_newer_format_is_refused_with_the_cure(number: str, why: str) -> None:
    with pytest.raises(StatusUnreadable, match=why):
        parse_ingress(f"format: {number}\n---\ntype: ZoneIngress\nname: i\n".encode())


def test_a_file_that_is_made_of_the_same_is_not_made_again() -> None:
    other = SHAPE.replace("backend", "web")
    classes = (ProxyClass("default", SHAPE, 2), ProxyClass("default", other, 1))
    before = Rendering().after(replace(STATUS, classes=classes), Inventory.CLASSES)
    classes = (ProxyClass("default", SHAPE, 3), classes[1])
    after = before.after(replace(STATUS, classes=classes), Inventory.CLASSES)
    same = {path for path, body in after.files.items() if body is before.files[path]}
    assert same == {"applied.yaml", "ingress.yaml", "proxies/default/web.yaml"}
    assert b"count: 3" in after.files["proxies/default/backend.yaml"]


def test_proxies_that_are_the_same_are_not_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A push changes who acknowledged what, and none of a thousand classes."""
    before = Rendering().after(STATUS, Inventory.CLASSES)
    monkeypatch.setattr(document, "_inventory", None)
    after = before.after(replace(STATUS, revision="r2"), Inventory.CLASSES)
    same = {path for path, body in after.files.items() if body is before.files[path]}
    assert set(after.files) - same == {"applied.yaml"}


def test_classes_hold_no_names_and_no_addresses() -> None:
    entry = ProxyEntry("default", "dp-7", "192.0.2.7", SHAPE)
    status = StatusInput(zone="w", classes=(ProxyClass("default", SHAPE, 1),), proxies=(entry,))
    by_class = b"".join(files(status).values())
    assert b"dp-7" not in by_class
    assert b"192.0.2.7" not in by_class
    full = files(status, Inventory.FULL)["proxies/default/backend.yaml"]
    assert b"dp-7" in full
    assert b"192.0.2.7" in full
    assert set(files(status, Inventory.OFF)) == {"applied.yaml", "ingress.yaml"}


def test_a_proxy_of_two_services_stands_in_both_files_and_one_of_none_in_its_own() -> None:
    two = canonical_json(
        {"inbounds": [{"port": p, "tags": {"kuma.io/service": f"s{p}"}} for p in (1, 2)]}
    )
    none = canonical_json({"inbounds": []})
    gateway = canonical_json({"inbounds": [], "gateway": {"kuma.io/service": "edge"}})
    classes = (ProxyClass("m", two, 1), ProxyClass("m", none, 4), ProxyClass("m", gateway, 1))
    status = StatusInput(zone="w", classes=classes)
    assert [path for path in files(status) if path.startswith("proxies/")] == [
        "proxies/m/_none.yaml",
        "proxies/m/edge.yaml",
        "proxies/m/s1.yaml",
        "proxies/m/s2.yaml",
    ]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("backend_default_svc_80", "backend_default_svc_80"),
        ("..", "%2e."),
        ("a/../../b", "a%2f..%2f..%2fb"),
        (".git", "%2egit"),
        ("-rf", "%2drf"),
        ("_none", "%5fnone"),
        ("Web", "%57eb"),
        ("web", "web"),
        ("ü", "%c3%bc"),
    ],
)
def test_names_cannot_leave_their_folder_or_collide(name: str, file: str) -> None:
    assert path_name(name) == file


def test_very_long_names_stay_files_and_stay_apart() -> None:
    one, two = path_name("x" * 300), path_name("x" * 299 + "y")
    assert one != two
    assert len(one) <= 200


@pytest.mark.parametrize(
    "body",
    [
        b"a: &x [1]\nb: *x\n",
        b"[" * 40 + b"]" * 40,
        b"- just\n- a list\n",
        b"name: [\n",
        b"\xff\xfe\x00",
        b"networking: {}\n",
        b"type: MeshTimeout\nname: smuggled\n",
        b"name: of-no-type\n",
        b"x: !!python/object:os.system {}\n",
        b"name: x\nport: !!timestamp x\n",  # these break PyYAML with errors of Python
        b"name: x\nport: !!bool x\n",
        b"name: x\nport: !!int ''\n",
    ],
)
def test_what_no_zone_wrote_is_refused(body: bytes) -> None:
    with pytest.raises(StatusUnreadable, match=r"ingress\.yaml"):
        parse_ingress(body)


def test_order_of_input_does_not_matter() -> None:
    other = INGRESS.replace("ingress-west", "ingress-two")
    one = files(StatusInput(zone="w", ingresses=(INGRESS, other)))
    two = files(StatusInput(zone="w", ingresses=(other, INGRESS)))
    assert files_digest(one) == files_digest(two)


def test_the_summary_is_short_and_says_what_matters() -> None:
    assert summary(STATUS) == "revision 4f2a9c, 2/3 proxies, 1 rejected, ingress ingress-west"
