"""What the processes give the HTTP API: who asks, and tokens that are worth something."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from reconciler.api.rest_listeners import ApiListeners
from reconciler.ca import keys, tokens
from reconciler.ca.authority import new_rsa_key_pem
from reconciler.decode import mesh_resource
from reconciler.global_cp.rest import GlobalRest
from reconciler.keys.token_keys import add_key, newest, remove_key, revoke, token_id
from reconciler.keys.user_keys import LOOK_S, UserKeys
from reconciler.model.resource import Labels, ResourceKey
from reconciler.proxy_token import issuer_of
from reconciler.rest.answer import Refused
from reconciler.rest.callers import ANONYMOUS, Caller
from reconciler.rest.token_requests import Wanted
from reconciler.state import from_resources
from reconciler.zone_cp.rest import ZoneRest
from tests.support.secrets import MemorySecrets

if TYPE_CHECKING:
    from reconciler.keys.secret_store import SecretStore

KEY = new_rsa_key_pem()
MESH_KEY = f"{keys.dataplane_signing_key('default')}1"


def listeners(store: SecretStore) -> ApiListeners:
    return ApiListeners(
        host="127.0.0.1",
        port=None,
        plain_host="127.0.0.1",
        plain_port=None,
        tls=(Path("cert.pem"), Path("key.pem")),
        anonymous=False,
        issues=True,
        items_max=100,
        users=UserKeys(store),
    )


@pytest.fixture
def store() -> MemorySecrets:
    made = MemorySecrets()
    for name in (f"{keys.USER_SIGNING_KEY}1", f"{keys.ZONE_SIGNING_KEY}1", MESH_KEY):
        made.put(name, KEY)
    return made


def at_global(store: SecretStore) -> GlobalRest:
    return GlobalRest(cast("Any", None), listeners(store), "refs/heads/main")


def at_zone(store: SecretStore) -> ZoneRest:
    """Its policy holds the mesh's second key, as the global sent it."""
    key = ResourceKey("Secret", "default", f"{keys.dataplane_signing_key('default')}2")
    secret = mesh_resource(key, Labels(), keys.secret_data(KEY))
    state = SimpleNamespace(merged=from_resources([secret]))
    return ZoneRest(
        cast("Any", SimpleNamespace(plane=SimpleNamespace(state=state))), listeners(store)
    )


def user(name: str = "carol") -> Wanted:
    return Wanted("user", tokens.user_claims(name, ("ops",)), 3600, name)


def dataplane(mesh: str) -> Wanted:
    return Wanted("dataplane", tokens.dataplane_claims(mesh, "web-1"), 3600, mesh, mesh)


@pytest.mark.parametrize("at", [at_global, at_zone])
def test_a_user_token_that_was_issued_opens_the_api(at: Any, store: MemorySecrets) -> None:
    rest = at(store)
    found = rest.caller(f"Bearer {rest.issue(user())}")
    assert found == Caller("carol", ("ops", "mesh-system:authenticated"))
    assert rest.caller(None) == rest.caller("Basic YTpi") == ANONYMOUS


def test_a_dataplane_token_that_was_issued_admits_its_proxy(store: MemorySecrets) -> None:
    """Both control planes sign with the newest key of the mesh that they hold."""
    zone = at_zone(store)
    text = zone.issue(dataplane("default"))
    policy = cast("Any", zone.answers).plane.state.merged
    issuer = issuer_of(policy, ResourceKey("Dataplane", "default", "web-1"))
    claims = tokens.verify(text, issuer.keys, time.time())
    assert isinstance(claims, tokens.Claims)
    assert (claims.kid, claims.mesh, claims.name) == ("2", "default", "web-1")
    assert tokens.allows_dataplane(claims, "default", "web-1", {}) is None
    signed = tokens.verify(at_global(store).issue(dataplane("default")), {"1": KEY}, time.time())
    assert isinstance(signed, tokens.Claims)


def test_a_zone_token_is_signed_by_the_global_alone(store: MemorySecrets) -> None:
    asked = Wanted("zone", tokens.zone_claims("east", ("ingress",)), 3600, "east")
    claims = tokens.verify(at_global(store).issue(asked), {"1": KEY}, time.time())
    assert isinstance(claims, tokens.Claims)
    assert tokens.allows_zone(claims, "east", "ingress") is None
    with pytest.raises(Refused, match="the global signs the tokens of zones") as refused:
        at_zone(store).issue(asked)
    assert (refused.value.status, refused.value.title) == (404, "Signing Key not found")


@pytest.mark.parametrize("at", [at_global, at_zone])
@pytest.mark.parametrize("mesh", ["nowhere", "", "../x", "default-1"])
def test_a_mesh_without_a_key_has_no_tokens(at: Any, store: MemorySecrets, mesh: str) -> None:
    with pytest.raises(Refused) as refused:
        at(store).issue(dataplane(mesh))
    assert (refused.value.status, refused.value.title) == (404, "Signing Key not found")


@pytest.mark.parametrize("at", [at_global, at_zone])
def test_a_store_that_does_not_answer_is_told(at: Any, store: MemorySecrets) -> None:
    store.away = True
    with pytest.raises(Refused) as refused:
        at(store).issue(user())
    assert refused.value.status == 503


def test_the_newest_of_keys_is_the_one_of_the_highest_number() -> None:
    assert newest({"2": b"b", "10": b"c", "1": b"a", "x": b"d", "01": b"e"}) == ("10", b"c")
    assert newest({"x": b""}) is None


def test_rotation_and_revocation_of_users_count_within_seconds(
    store: MemorySecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart: the keys are looked at again."""
    rest, prefix = at_global(store), keys.USER_SIGNING_KEY
    clock = [1000.0]
    monkeypatch.setattr("reconciler.keys.user_keys.time.monotonic", lambda: clock[0])

    def is_known(token: str) -> bool:
        clock[0] += LOOK_S
        return isinstance(rest.caller(f"Bearer {token}"), Caller)

    first, other = rest.issue(user("first")), rest.issue(user("other"))
    assert is_known(first)
    revoke(store, prefix, token_id(store, prefix, first, time.time()))
    assert not is_known(first)
    assert is_known(other)
    assert add_key(store, prefix) == 2
    second = rest.issue(user("second"))
    assert is_known(second)
    remove_key(store, prefix, 1)
    assert not is_known(other)
    assert is_known(second)


def test_a_token_of_a_proxy_or_zone_opens_nothing(store: MemorySecrets) -> None:
    """Also one that a user key signed by mistake."""
    rest, now = at_global(store), time.time()
    for claims in (tokens.dataplane_claims("default"), tokens.zone_claims("east", ("cp",))):
        text = tokens.issue(KEY, claims, now, 60)
        assert isinstance(rest.caller(f"Bearer {text}"), tokens.Refused)
