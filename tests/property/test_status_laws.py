"""Laws of the status: canonical bytes, injective paths, and a step that always gets there."""

from __future__ import annotations

import json
from dataclasses import replace

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.status.document import (
    Inventory,
    ProxyClass,
    ProxyEntry,
    Rendering,
    StatusInput,
    emit,
    files,
    parse_ingress,
    path_name,
)
from reconciler.steps.status_state import (
    Content,
    Failed,
    Push,
    Pushed,
    ReadTips,
    Refusal,
    Refused,
    StatusSettings,
    StatusState,
    Tick,
    Tip,
    TipsRead,
    WakeAt,
    Wanted,
)
from reconciler.steps.status_step import step

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=5)


@given(JSON)
def test_what_is_emitted_is_read_back_equal(value: object) -> None:
    assert yaml.load(emit(value), Loader=yaml.CSafeLoader) == value


@given(st.lists(OBJECTS, max_size=4), st.randoms())
def test_ingresses_survive_in_any_order_of_input(objects: list[dict[str, object]], random) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    texts = [json.dumps({**data, "name": f"n{at}"}) for at, data in enumerate(objects)]
    shuffled = random.sample(texts, len(texts))
    one, two = (files(StatusInput(zone="z", ingresses=tuple(t))) for t in (texts, shuffled))
    assert one == two
    found = {str(i["name"]): i for i in parse_ingress(one["ingress.yaml"])}
    expected = {
        f"n{at}": {**data, "name": f"n{at}", "type": "ZoneIngress"}
        for at, data in enumerate(objects)
    }
    assert found == expected


@given(TEXT, TEXT)
def test_different_names_have_different_files_that_stay_in_their_folder(a: str, b: str) -> None:
    assert (path_name(a) == path_name(b)) == (a == b)
    assert path_name(a) == path_name(a).lower()
    assert "/" not in path_name(a)
    assert path_name(a)[0] not in ".-_"


@given(st.sets(st.tuples(TEXT, TEXT), max_size=6))
def test_every_service_has_its_own_file(pairs: set[tuple[str, str]]) -> None:
    classes = tuple(
        ProxyClass(
            mesh,
            json.dumps({"inbounds": [{"port": 1, "tags": {"kuma.io/service": service}}]}),
            1,
        )
        for mesh, service in pairs
    )
    found = [p for p in files(StatusInput(zone="z", classes=classes)) if p.startswith("proxies/")]
    assert len(found) == len(pairs)


SHAPES = [
    json.dumps({"inbounds": [{"tags": {"kuma.io/service": name}} for name in services]})
    for services in ((), ("a",), ("b",), ("a", "b"))
]
STATUSES = st.builds(
    StatusInput,
    zone=st.sampled_from(["y", "z"]),
    revision=st.sampled_from([None, "1", "2"]),
    ingresses=st.lists(st.sampled_from(['{"name": "i"}', '{"name": "j"}']), max_size=2).map(tuple),
    classes=st.lists(
        st.builds(ProxyClass, st.sampled_from("mn"), st.sampled_from(SHAPES), st.integers(1, 2)),
        max_size=4,
    ).map(tuple),
    proxies=st.lists(
        st.builds(ProxyEntry, st.just("m"), st.sampled_from("pq"), st.just("::1"),
                  st.sampled_from(SHAPES)),
        max_size=4,
    ).map(tuple),
)  # fmt: skip


ONE = (ProxyClass("m", SHAPES[0], 1),)


@example(
    [
        (StatusInput(zone="y", classes=ONE), Inventory.CLASSES, False),
        (StatusInput(zone="z"), Inventory.CLASSES, True),
    ]
)
@given(st.lists(st.tuples(STATUSES, st.sampled_from(Inventory), st.booleans()), max_size=5))
def test_files_that_follow_others_are_as_those_made_from_nothing(
    said: list[tuple[StatusInput, Inventory, bool]],
) -> None:
    """`same`: of the very proxies of the one before."""
    rendering, status = Rendering(), StatusInput(zone="z")
    for other, inventory, same in said:
        before, status = status, other
        if same:
            status = replace(other, classes=before.classes, proxies=before.proxies)
        rendering = rendering.after(status, inventory)
        assert rendering.files == files(status, inventory)
        assert list(rendering.files) == sorted(rendering.files)


SETTINGS = StatusSettings(backoff=lambda n: float(min(2**n, 60)), pushes_per_minute=6)
CONTENTS = [Content(str(number), {"f": bytes([number])}) for number in range(4)]


class World:
    """A Git server of one ref, and time. Answers each effect, or fails it as told."""

    def __init__(self) -> None:
        self.state = StatusState(SETTINGS)
        self.now = 0.0
        self.ref = Tip(None, None)
        self.commits = 0
        self.pushes: list[float] = []
        self.pending: list[ReadTips | Push] = []
        self.wake: float | None = None

    def deliver(self, event: object) -> None:
        self.state, effects = step(self.state, event)  # type: ignore[arg-type]
        for effect in effects:
            if isinstance(effect, ReadTips | Push):
                self.pending.append(effect)
            if isinstance(effect, WakeAt):
                self.wake = effect.at
        assert len(self.pending) <= 1, "one call is under way at a time"

    def answer(self, fault: str) -> None:
        if not self.pending:
            return
        effect = self.pending.pop()
        if isinstance(effect, Push):
            self.pushes.append(self.now)
        if fault == "lost":
            self.deliver(Failed(Refused(Refusal.UNREACHABLE, "lost"), self.now))
        elif isinstance(effect, ReadTips):
            self.deliver(TipsRead({"z": self.ref}, self.now))
        elif effect.changes["z"].parent != self.ref.oid:
            self.deliver(Pushed({"z": Refused(Refusal.MOVED, "moved")}, self.now))
        else:
            digest = effect.changes["z"].content.digest
            assert digest != self.ref.digest, "a commit that changes nothing"
            self.commits += 1
            self.ref = Tip(f"c{self.commits}", digest)
            unknown = fault == "answer lost"
            self.deliver(
                Failed(Refused(Refusal.UNREACHABLE, "?"), self.now)
                if unknown
                else Pushed({"z": self.ref.oid or ""}, self.now)
            )

    def rival(self) -> None:
        self.commits += 1
        self.ref = Tip(f"c{self.commits}", "rival's", foreign="somebody else's")

    def tick(self, seconds: float) -> None:
        self.now += seconds
        if self.wake is not None and self.wake <= self.now:
            self.wake = None
            self.deliver(Tick(self.now))


ACTIONS = st.one_of(
    st.tuples(st.just("want"), st.sampled_from(CONTENTS)),
    st.tuples(st.just("answer"), st.sampled_from(["", "", "lost", "answer lost"])),
    st.tuples(st.just("tick"), st.floats(0, 30)),
    st.tuples(st.just("rival"), st.none()),
)


@given(st.lists(ACTIONS, max_size=40))
def test_the_ref_says_what_is_wanted_once_the_world_is_quiet(
    actions: list[tuple[str, object]],
) -> None:
    world = World()
    for name, argument in actions:
        match name:
            case "want":
                world.deliver(Wanted("z", argument, world.now))  # type: ignore[arg-type]
            case "answer":
                world.answer(str(argument))
            case "tick":
                world.tick(float(argument))  # type: ignore[arg-type]
            case _:
                world.rival()
    world.deliver(Wanted("z", CONTENTS[0], world.now))
    for _ in range(40):
        world.answer("")
        world.tick(61)
    tip = world.state.refs["z"].tip
    assert tip is not None
    assert tip.digest == CONTENTS[0].digest
    assert not world.pending
    for at in world.pushes:
        assert sum(at - 60 < other <= at for other in world.pushes) <= 6
    commits = world.commits
    for _ in range(5):
        world.deliver(Wanted("z", CONTENTS[0], world.now))
        world.tick(100)
        world.answer("")
    assert world.commits == commits, "a quiet world makes no commit"
