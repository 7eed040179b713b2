"""Which CA a proxy's certificate is from, whom it trusts, when it is issued anew, and what is told
when that fails.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler import mesh_ca
from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import ResourceDiff, apply
from reconciler.steps import zone_build, zone_certificates
from reconciler.steps import zone_state as z
from tests.support.zone import Zone, dataplane, zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from reconciler.mesh_ca import Authority
    from reconciler.model.spec import CaBackend
    from reconciler.state import MeshState
    from reconciler.steps.proxy_state import Proxy

NODE = "default.web"


def mesh(enabled: str, *backends: Mapping[str, object]) -> MeshResource:
    mtls = {"enabledBackend": enabled, "backends": list(backends)}
    return mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {"mtls": mtls})


def builtin(name: str, expiration: str = "24h") -> dict[str, object]:
    rotation = {"rotation": {"expiration": expiration}}
    return {"name": name, "type": "builtin", "dpCert": rotation}


PROVIDED = {
    "name": "corporate",
    "type": "provided",
    "conf": {"cert": {"secret": "corporate-cert"}, "key": {"secret": "corporate-key"}},
}


def secret(name: str, data: str) -> MeshResource:
    return mesh_resource(ResourceKey("Secret", "default", name), Labels(), {"data": data})


def ca(name: str, data: str) -> tuple[MeshResource, ...]:
    names = (f"default.ca-builtin-cert-{name}", f"default.ca-builtin-key-{name}")
    return tuple(secret(each, data) for each in names)


ONE, TWO = ca("one", "b25l"), ca("two", "dHdv")  # "one", "two"


def change(made: Zone, *put: MeshResource, drop: tuple[MeshResource, ...] = ()) -> list[z.Effect]:
    """Global-owned resources that come in at once, and what follows."""
    diff, state = ResourceDiff(put, tuple(r.key for r in drop)), made.state
    state = replace(state, policy=apply(state.policy, diff), merged=apply(state.merged, diff))
    made.state, _ = zone_build.touched(state, diff)
    return made.deliver(z.BuildDue(made.now))


def proxy(made: Zone) -> Proxy:
    return made.state.proxies[NODE]


def holding(proxy: Proxy, **changes: Any) -> Proxy:
    """With another identity in its mesh."""
    return proxy.with_identity("default", replace(proxy.own, **changes))


def trusts(made: Zone) -> list[bytes]:
    """Which of the CAs are in the bundle that the proxy was last sent."""
    snapshot = proxy(made).snapshot
    assert snapshot is not None
    entry = snapshot.secrets["mesh_ca:secret:default"].entry
    return sorted((ca for ca in (b"one", b"two") if ca + b"\n" in entry), key=entry.index)


def issues(effects: list[z.Effect]) -> list[tuple[str, bytes]]:
    return [(e.backend, e.ca_cert_pem) for e in effects if isinstance(e, z.IssueCertificate)]


def told(effects: list[z.Effect], event: str) -> list[Mapping[str, object]]:
    return [e.fields for e in effects if isinstance(e, z.Note) and e.event == event]


def test_rotation_trusts_the_new_ca_before_anything_is_signed_by_it() -> None:
    made = zone(mesh("one", builtin("one")), *ONE)
    made.connect(dataplane("web", "web"))
    assert trusts(made) == [b"one"]
    second = change(made, mesh("one", builtin("one"), builtin("two")), *TWO)
    assert (trusts(made), issues(second)) == ([b"one", b"two"], [])
    third = change(made, mesh("two", builtin("one"), builtin("two")))
    assert (trusts(made), issues(third)) == ([b"two", b"one"], [("two", b"two")])
    last = change(made, mesh("two", builtin("two")), drop=ONE)
    assert (trusts(made), issues(last)) == ([b"two"], [])


def test_another_lifetime_means_another_certificate() -> None:
    made = zone(mesh("one", builtin("one")), *ONE)
    made.connect(dataplane("web", "web"))
    assert issues(change(made, mesh("one", builtin("one", "1h")))) == [("one", b"one")]
    made.tick(0.79 * 3600)
    assert issues(made.effects) == []
    made.tick(0.02 * 3600)
    assert issues(made.effects) == [("one", b"one")]


def test_ca_that_is_listed_and_not_here_takes_nothing_from_the_bundle() -> None:
    """Absent is not empty: the bundle stays as it was until every listed CA is known."""
    made = zone(mesh("one", builtin("one"), builtin("two")), *ONE, *TWO)
    made.connect(dataplane("web", "web"))
    effects = change(made, drop=TWO)
    assert trusts(made) == [b"one", b"two"]
    lacks = "default.ca-builtin-cert-two, default.ca-builtin-key-two"
    want = {"mesh": "default", "backend": "two", "lacks": lacks}
    assert told(effects, "certificate.ca_missing") == [want]
    (text,) = zone_certificates.told(made.state, made.now)[:1]
    assert text == f"mesh default: the CA of backend two lacks {lacks}"


def test_provided_ca_comes_from_the_secrets_its_backend_names() -> None:
    pair = secret("corporate-cert", "Y2VydA=="), secret("corporate-key", "a2V5")
    made = zone(mesh("corporate", PROVIDED), *pair)
    made.connect(dataplane("web", "web"))
    held = proxy(made).own.certificate
    assert held is not None
    assert held.backend == "corporate"
    effects = change(made, secret("corporate-cert", "bmV3"))
    assert issues(effects) == [("corporate", b"new")]


def test_provided_ca_without_its_secret_says_which_is_missing() -> None:
    made = zone(mesh("corporate", PROVIDED), secret("corporate-cert", "Y2VydA=="))
    made.connect(dataplane("web", "web"))
    assert proxy(made).snapshot is None
    (text,) = [t for t in zone_certificates.told(made.state, made.now) if "lacks" in t]
    assert text == "mesh default: the CA of backend corporate lacks key (corporate-key)"


def test_failure_to_issue_is_tried_again_after_ever_longer_waits() -> None:
    made = zone(mesh("one", builtin("one")), *ONE)
    made.connect(dataplane("web", "web"))
    made.state = replace(
        made.state,
        proxies=made.state.proxies.insert(NODE, holding(proxy(made), issuing=True)),
    )
    waits = []
    for _ in range(9):
        effects = made.deliver(z.IssueFailed(NODE, "default", "no entropy", made.now))
        assert told(effects, "certificate.failed") == [{"proxy": NODE, "message": "no entropy"}]
        (wake,) = [e.at for e in effects if isinstance(e, z.WakeAt)]
        waits.append(wake - made.now)
        made.now = wake
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    text = "default.web: no certificate after 9 tries: no entropy"
    assert text in zone_certificates.told(made.state, made.now)
    made.tick(0)
    assert proxy(made).own.failing is None  # It was issued, and nothing is told any more.
    assert text not in zone_certificates.told(made.state, made.now)


def test_failed_certificate_is_not_asked_for_by_every_build_but_at_once_for_another_ca() -> None:
    made = zone(mesh("one", builtin("one", "10s")), *ONE)
    made.connect(dataplane("web", "web"))
    made.tick(9.0)  # Due: asked for and issued. Now the next one fails.
    made.tick(7.9)
    made.state = replace(made.state, proxies=made.state.proxies.insert(NODE, proxy(made)))
    made.now += 0.2
    made.deliver(z.IssueFailed(NODE, "default", "no entropy", made.now))
    made.state, _ = zone_build.mark_dirty(made.state, (NODE,))
    assert issues(made.deliver(z.BuildDue(made.now))) == []
    effects = change(made, mesh("two", builtin("two", "10s")), *TWO)
    assert issues(effects) == [("two", b"two")]


def test_each_certificate_is_renewed_at_its_own_time() -> None:
    made = zone(mesh("one", builtin("one")), *ONE)
    began, due_s = made.now, 0.8 * 86_400
    made.connect(dataplane("web", "web"))
    made.tick(10_000)
    made.connect(dataplane("api", "api", address="10.0.0.2"))

    def renewed() -> list[bool]:
        made.tick(0)
        found = [made.state.proxies[f"default.{name}"].own.certificate for name in ("web", "api")]
        return [c is not None and c.renew_at > made.now for c in found]

    for after_s in (due_s, due_s + 10_000):
        made.now = began + after_s
        assert renewed() == [True, True]


def test_failed_renewal_leaves_the_proxy_what_it_has() -> None:
    made = zone(mesh("one", builtin("one")), *ONE)
    made.connect(dataplane("web", "web"))
    before = proxy(made)
    made.deliver(z.IssueFailed(NODE, "default", "no entropy", made.now))
    assert proxy(made).own.certificate == before.own.certificate
    assert proxy(made).snapshot == before.snapshot


def test_commit_that_changes_the_ca_has_arrived_when_the_certificates_have() -> None:
    """The old CA is removed on that word: no certificate of it may be left."""
    made = zone(mesh("one", builtin("one"), builtin("two")), *ONE, *TWO)
    stream = made.connect(dataplane("web", "web"))
    made.acknowledge_all(stream)
    made.tick(1.0)
    assert made.state.reported is not None
    assert made.state.reported.acked == 1
    digests = zone_certificates.ca_digests(made.state)
    assert zone_certificates.is_settled(proxy(made), digests)
    held = proxy(made).own.certificate
    assert held is not None
    other = replace(held, ca_digest="of another CA")
    old = holding(proxy(made), certificate=other, issuing=True)
    made.state = replace(made.state, proxies=made.state.proxies.insert(NODE, old))
    assert not zone_certificates.is_settled(old, digests)
    made.tick(1.0)
    made.deliver(z.IssueFailed(NODE, "default", "no entropy", made.now))
    made.state, _ = zone_build.mark_dirty(made.state, ())
    made.state = replace(made.state, report_due=made.now)
    made.tick(0.0)
    report = made.state.reported
    assert report is not None
    assert report.pending == 1


def test_cas_are_looked_up_once_a_commit_for_all_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    plain = mesh_ca.authority

    def counted(state: MeshState, of: str, backend: CaBackend) -> Authority:
        looked.append(backend.name)
        return plain(state, of, backend)

    made = zone(mesh("one", builtin("one"), builtin("two")), *ONE, *TWO)
    monkeypatch.setattr("reconciler.steps.zone_certificates.authority", counted)
    for number in range(5):
        made.connect(dataplane(f"web-{number}", "web"))
    made.tick(1.0)
    assert len(looked) <= 3  # Those of the backends, and the enabled one, of one mesh.
    change(made, secret("default.ca-builtin-cert-one", "dHdv"))
    assert 0 < len(looked) <= 6
