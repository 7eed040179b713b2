"""What values of secrets mean for a commit, on a real mirror and a real folder of files."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from reconciler.git.address import address
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, transport_to
from reconciler.keys.secret_values import SecretValues
from reconciler.keys.system_resources import SystemResources
from reconciler.model.resource import ResourceKey
from reconciler.revision_loader import CA_WAIT_MAX_S, RevisionLoader
from reconciler.steps import global_state as g
from tests.support.authorities import key_pem, made_ca
from tests.support.git_repos import PolicyRepo
from tests.support.secrets import MemorySecrets

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "refs/heads/main"
NOW = 1_800_000_000.0
MESH = "type: Mesh\nname: default\n"
LIST = """secrets:
  - {mesh: default, name: ca-cert, file: ca.pem}
  - {mesh: default, name: ca-key, file: ca.key}
  - {name: zone-token-revocations, file: revoked}
"""
PROVIDED = (
    "{name: corporate, type: provided, conf: {cert: {secret: ca-cert}, key: {secret: ca-key}}}"
)
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
CERT = made_ca(KEY, NOW)


def mesh(enabled: str, *backends: str) -> str:
    return f"{MESH}mtls:\n  enabledBackend: {enabled}\n  backends: [{', '.join(backends)}]\n"


def builtin(name: str) -> str:
    return f"{{name: {name}, type: builtin}}"


@dataclass
class World:
    """A repository, a folder of secrets and the loader of a global."""

    folder: Path
    repo: PolicyRepo
    mirror: Mirror
    loader: RevisionLoader
    time: float = 0.0
    published: g.ReconcileKey | None = None
    warnings: list[str] = field(default_factory=list)

    def push(self, files: dict[str, str]) -> None:
        self.repo.push(files)

    def load(self, *behind: str) -> g.Event:
        wanted = g.Load(self.mirror.fetch()[MAIN], self.published, behind=behind)
        event = self.loader.load(wanted)
        if isinstance(event, g.Loaded):
            self.published = event.revision.key
            self.warnings = [f"{p.at} {p.code}" for p in event.revision.warnings]
        return event

    def restart(self) -> None:
        """Another process with the same stores."""
        before = self.loader
        kept = before.values
        values = SecretValues(kept.kept, kept.folder, environment=kept.environment)
        self.loader = RevisionLoader(self.mirror, "", before.system, values, clock=before.clock)
        self.published = None

    def problems(self, *behind: str) -> list[str]:
        event = self.load(*behind)
        assert isinstance(event, g.LoadRejected), event
        return [f"{p.at} {p.code}" for p in event.problems]

    def value(self, name: str, mesh: str = "default") -> bytes | None:
        key = ResourceKey("Secret" if mesh else "GlobalSecret", mesh, name)
        found = self.loader._state.get(key)
        return base64.b64decode(json.loads(found.body)["data"]) if found is not None else None

    def write(self, name: str, data: bytes) -> None:
        new = self.folder / f".{name}"
        new.write_bytes(data)
        new.chmod(0o600)
        new.replace(self.folder / name)


@pytest.fixture
def world(tmp_path: Path) -> World:
    folder = tmp_path / "values"
    folder.mkdir(mode=0o700)
    repo = PolicyRepo.create(tmp_path, {"mesh.yaml": MESH})
    where = address(str(repo.bare))
    transport = transport_to(where, RemoteLimits())
    mirror = Mirror(tmp_path / "mirror.git", where, transport, MirrorOptions())
    store = MemorySecrets()
    values = SecretValues(store, folder, environment={})
    loader = RevisionLoader(mirror, "", SystemResources(store), values, clock=lambda: made.time)
    made = World(folder, repo, mirror, loader)
    return made


def provided(world: World) -> None:
    """In force: a provided CA and a revocation list."""
    world.write("ca.pem", CERT)
    world.write("ca.key", key_pem(KEY))
    world.write("revoked", b"id-1")
    world.push({"mesh.yaml": mesh("corporate", PROVIDED), "secrets.yaml": LIST})
    assert isinstance(world.load(), g.Loaded)


def test_values_become_secrets_of_their_mesh_and_global_ones(world: World) -> None:
    provided(world)
    assert world.value("ca-key") == key_pem(KEY)
    assert world.value("zone-token-revocations", "") == b"id-1"


def test_missing_value_is_told_where_it_is_needed_and_the_commit_is_taken_once_it_is_there(
    world: World,
) -> None:
    assert isinstance(world.load(), g.Loaded)
    world.push({"mesh.yaml": mesh("corporate", PROVIDED), "secrets.yaml": LIST})
    need_key = "mesh.yaml:5:94 SEC006"
    assert world.problems() == [
        "mesh.yaml:5:70 SEC006",
        need_key,
        "secrets.yaml:4:5 SEC006",  # Nothing refers to it: its own entry.
    ]
    assert world.value("ca-key") is None
    world.write("ca.pem", CERT)
    world.write("revoked", b"\n")
    assert world.problems() == [need_key]
    world.write("ca.key", key_pem(KEY))
    assert isinstance(world.load(), g.Loaded)


def test_commit_with_the_same_tree_and_values_is_unchanged(world: World) -> None:
    provided(world)
    assert isinstance(world.load(), g.Unchanged)


def test_changed_value_is_a_new_state_of_the_same_commit(world: World) -> None:
    provided(world)
    before = world.loader._state
    world.write("revoked", b"id-1,id-2")
    event = world.load()
    assert isinstance(event, g.Loaded)
    assert world.value("zone-token-revocations", "") == b"id-1,id-2"
    changed = {k for k, r in world.loader._state.by_key.items() if before.get(k) is not r}
    assert changed == {ResourceKey("GlobalSecret", "", "zone-token-revocations")}


def test_value_that_vanishes_stays_in_force_and_is_told(world: World) -> None:
    provided(world)
    (world.folder / "ca.key").unlink()
    event = world.load()
    assert isinstance(event, g.Loaded)
    assert world.value("ca-key") == key_pem(KEY)
    assert world.warnings == ["secrets.yaml:3:5 SEC007"]
    world.write("ca.key", key_pem(KEY))
    assert isinstance(world.load(), g.Loaded)
    assert world.warnings == []


def test_no_value_is_in_a_problem_or_a_repr_of_the_key(world: World) -> None:
    provided(world)
    world.write("ca.key", b"hunter2")
    (problem,) = world.problems()
    assert problem == "mesh.yaml:5:94 MSH012"
    event = world.load()
    assert isinstance(event, g.LoadRejected)
    assert "hunter2" not in str(event.problems)
    assert "hunter2" not in repr(world.published)


@pytest.mark.parametrize(
    ("cert", "key", "places"),
    [
        (b"x", key_pem(KEY), ["mesh.yaml:5:70 MSH012"]),
        (made_ca(KEY, NOW, is_ca=False), key_pem(KEY), ["mesh.yaml:5:70 MSH012"]),
        (CERT, key_pem(OTHER), ["mesh.yaml:5:94 MSH012"]),
        (CERT, b"x", ["mesh.yaml:5:94 MSH012"]),
        (made_ca(KEY, NOW, signs=False), b"x", ["mesh.yaml:5:70 MSH012", "mesh.yaml:5:94 MSH012"]),
    ],
)
def test_provided_ca_that_kuma_would_not_take_is_refused_at_its_part(
    world: World, cert: bytes, key: bytes, places: list[str]
) -> None:
    world.write("ca.pem", cert)
    world.write("ca.key", key)
    world.write("revoked", b"\n")
    text = mesh("corporate", PROVIDED)
    world.push({"mesh.yaml": text, "secrets.yaml": LIST})
    assert world.problems() == places
    skipping = text.replace("mtls:\n", "mtls:\n  skipValidation: true\n")
    world.push({"mesh.yaml": skipping})
    assert isinstance(world.load(), g.Loaded)


def test_certificate_in_git_is_checked_as_well(world: World) -> None:
    world.write("ca.pem", CERT)
    world.write("ca.key", key_pem(KEY))
    world.write("revoked", b"\n")
    inline = PROVIDED.replace("{secret: ca-cert}", "{inlineString: x}")
    world.push({"mesh.yaml": mesh("corporate", inline), "secrets.yaml": LIST})
    assert world.problems() == ["mesh.yaml:1:1 MSH012"]


# --- changes of a CA ---


def test_ca_is_replaced_step_by_step_and_not_at_once(world: World) -> None:
    one, two = builtin("one"), builtin("two")
    for text in (mesh("one", one), mesh("one", one, two), mesh("two", one, two), mesh("two", two)):
        world.push({"mesh.yaml": text})
        assert isinstance(world.load(), g.Loaded)
    three = builtin("three")
    for at_once in (
        mesh("three", three),
        mesh("three", two, three),
        mesh("one", one),
    ):
        world.push({"mesh.yaml": at_once})
        assert world.problems() == ["mesh.yaml:1:1 MSH013"]


def test_old_ca_does_not_go_in_the_step_that_enables_the_new(world: World) -> None:
    one, two = builtin("one"), builtin("two")
    for text in (mesh("one", one), mesh("one", one, two)):
        world.push({"mesh.yaml": text})
        world.load()
    world.push({"mesh.yaml": mesh("two", two)})
    event = world.load()
    assert isinstance(event, g.LoadRejected)
    (problem,) = event.problems
    assert problem.code == "MSH013"
    assert 'certificates of the CA that is in force (backend "one") are in use' in problem.message


def test_turning_mtls_on_and_off_is_no_change_of_a_ca(world: World) -> None:
    off = f"{MESH}# off\n"
    for text in (mesh("one", builtin("one")), off, mesh("two", builtin("two"))):
        world.push({"mesh.yaml": text})
        assert isinstance(world.load(), g.Loaded)


def test_provided_ca_is_not_replaced_under_the_name_it_has(world: World) -> None:
    """The file is another CA's: no commit was made, but the effect would be the same."""
    provided(world)
    world.write("ca.pem", made_ca(OTHER, NOW, "other"))
    world.write("ca.key", key_pem(OTHER))
    assert world.problems() == ["mesh.yaml:1:1 MSH013"]
    assert world.value("ca-key") == key_pem(KEY)


def test_provided_ca_is_not_replaced_while_the_global_is_away_either(world: World) -> None:
    """The last values stay in force, and the next commit is held against them."""
    provided(world)
    world.write("ca.pem", made_ca(OTHER, NOW, "other"))
    world.write("ca.key", key_pem(OTHER))
    world.restart()
    assert isinstance(world.load(), g.Loaded)
    assert world.value("ca-key") == key_pem(KEY)
    assert "mesh.yaml:1:1 MSH013" in world.warnings
    world.push({"other.yaml": "type: Mesh\nname: other\n"})
    assert world.problems() == ["mesh.yaml:1:1 MSH013"]
    world.write("ca.pem", CERT)
    world.write("ca.key", key_pem(KEY))
    assert isinstance(world.load(), g.Loaded)
    assert world.warnings == []


def test_the_first_newer_commit_after_a_restart_exchanges_no_ca(world: World) -> None:
    """The revision in force last is loaded first, so that there is something to compare with."""
    world.push({"mesh.yaml": mesh("one", builtin("one"))})
    world.load()
    world.restart()
    assert isinstance(world.load(), g.Loaded)
    world.push({"mesh.yaml": mesh("two", builtin("two"))})
    assert world.problems() == ["mesh.yaml:1:1 MSH013"]


def test_intermediate_is_renewed_under_the_same_root(world: World) -> None:
    root_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    root = made_ca(root_key, NOW, "root")

    def between(key: ec.EllipticCurvePrivateKey) -> bytes:
        return made_ca(key, NOW, "between", issuer=("root", root_key)) + root

    world.write("ca.pem", between(KEY))
    world.write("ca.key", key_pem(KEY))
    world.write("revoked", b"\n")
    world.push({"mesh.yaml": mesh("corporate", PROVIDED), "secrets.yaml": LIST})
    assert isinstance(world.load(), g.Loaded)
    world.write("ca.pem", between(OTHER))
    world.write("ca.key", key_pem(OTHER))
    assert isinstance(world.load(), g.Loaded)


def test_change_of_the_ca_waits_for_zones_that_lack_the_commit_before(world: World) -> None:
    """Everyone trusts the new CA before anyone presents it, in every zone."""
    one, two = builtin("one"), builtin("two")
    for text in (mesh("one", one), mesh("one", one, two)):
        world.push({"mesh.yaml": text})
        world.load("west")  # A CA that is only added waits for nobody.
    world.push({"mesh.yaml": mesh("two", one, two)})
    event = world.load("west")
    assert isinstance(event, g.LoadFailed)
    assert event.message == (
        "the CA of mesh default changes once all proxies have the commit before; "
        "zones that lack it: west"
    )
    assert isinstance(world.load(), g.Loaded)
    world.push({"mesh.yaml": mesh("two", two)})
    assert isinstance(world.load("west"), g.LoadFailed)  # Certificates of the old CA are in use.
    assert isinstance(world.load(), g.Loaded)


def test_one_zone_that_hangs_does_not_hold_up_all_for_ever(world: World) -> None:
    one, two = builtin("one"), builtin("two")
    for text in (mesh("one", one), mesh("one", one, two)):
        world.push({"mesh.yaml": text})
        world.load()
    world.push({"mesh.yaml": mesh("two", one, two)})
    assert isinstance(world.load("west"), g.LoadFailed)
    world.time = CA_WAIT_MAX_S - 1
    assert isinstance(world.load("west"), g.LoadFailed)
    world.time = CA_WAIT_MAX_S
    assert isinstance(world.load("west"), g.Loaded)
    assert world.warnings == ["mesh.yaml:1:1 MSH014"]
