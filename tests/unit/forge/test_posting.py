"""The comment of a change on each forge: made once, updated after, and nobody else's touched."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import Any

import pytest

from reconciler.forge import client, gitea, github, gitlab
from reconciler.forge.posting import Forge, ForgeError, NotAllowed, post
from reconciler.forge.surroundings import Place, connected, place, token_of
from tests.support.forges import ME, OTHER, TOKEN, ForgeState, forge

KINDS = ("github", "gitlab", "gitea")
MARK = "<!-- mark -->"
BODY = f"{MARK}\nthe plan"


def at(state: ForgeState, waits: list[float] | None = None) -> Forge:
    made: Any = connected(Place(state.kind, state.base, "acme/mesh", 12), TOKEN)
    told = [] if waits is None else waits
    found: Forge = replace(made, client=replace(made.client, sleep=told.append))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_one_comment_however_often_the_plan_is_made(kind: str) -> None:
    with forge(kind) as state:
        assert post(at(state), BODY, MARK).sort == "created"
        assert post(at(state), f"{BODY} 2", MARK).sort == "updated"
        assert post(at(state), f"{BODY} 2\r\n", MARK).sort == "unchanged"
        assert [(author, body) for _, author, body in state.comments] == [(ME, f"{BODY} 2")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_strangers_comment_with_our_mark_stays_what_it_is(kind: str) -> None:
    with forge(kind) as state:
        state.comments = [(1, OTHER, BODY), (2, ME, f"quoted: {MARK}")]
        assert post(at(state), BODY, MARK).sort == "created"
        assert state.comments[:2] == [(1, OTHER, BODY), (2, ME, f"quoted: {MARK}")]


@pytest.mark.parametrize("kind", KINDS)
def test_ours_is_found_behind_many_others(kind: str) -> None:
    with forge(kind) as state:
        state.comments = [(number, OTHER, "talk") for number in range(250)]
        state.comments.append((999, ME, BODY))
        assert post(at(state), f"{BODY} 2", MARK).sort == "updated"
        assert state.comments[-1] == (999, ME, f"{BODY} 2")


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_may_not_comment_is_told_apart(kind: str) -> None:
    with forge(kind) as state:
        state.may_comment = False
        with pytest.raises(NotAllowed, match="check the token") as caught:
            post(at(state), BODY, MARK)
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_busy_forge_is_asked_again_when_it_says(kind: str) -> None:
    waits: list[float] = []
    with forge(kind) as state:
        state.answers = [429, 503]
        assert post(at(state, waits), BODY, MARK).sort == "created"
    assert waits == [3.0, 3.0]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_stays_busy_is_given_up(kind: str) -> None:
    with forge(kind) as state:
        state.answers = [500] * 9
        with pytest.raises(ForgeError, match="500"):
            post(at(state), BODY, MARK)
        assert len(state.calls) == 4


def test_no_forge_makes_us_wait_for_long() -> None:
    waits: list[float] = []
    with forge("github") as state:
        state.answers, state.headers = [503], {"Retry-After": "86400"}
        post(at(state, waits), BODY, MARK)
    assert waits == [client.WAIT_MAX_S]


def test_a_token_does_not_go_where_a_forge_sends_us() -> None:
    with forge("github") as state, forge("github") as other:
        state.answers, state.headers = [302], {"Location": f"{other.base}/user"}
        with pytest.raises(ForgeError, match="302"):
            post(at(state), BODY, MARK)
        assert other.calls == []


def test_a_forge_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        state = ForgeState("github", base=f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(ForgeError, match="timed out"):
            post(at(state), BODY, MARK)


def test_an_endless_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_MAX", 1_000)
    with forge("github") as state:
        state.comments = [(1, OTHER, "talk" * 1_000)]
        with pytest.raises(ForgeError, match="over 1000 bytes"):
            post(at(state), BODY, MARK)


def test_a_list_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGES_MAX", 2)
    with forge("gitlab") as state:
        state.comments = [(number, OTHER, "talk") for number in range(900)]
        post(at(state), BODY, MARK)
        assert len([call for call in state.calls if call.startswith("GET /projects")]) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_forge_says_is_text_and_the_cure_is_ours(status: int) -> None:
    with forge("gitlab") as state:
        state.answers, state.said = [status], b"no\x1b[31m\nway"
        with pytest.raises(NotAllowed, match="check the token: scope api") as caught:
            post(at(state), BODY, MARK)
    assert f"with {status}: no [31m way; " in str(caught.value)


def test_what_a_system_wrote_in_our_name_is_no_comment() -> None:
    """GitLab tells of pushes and labels in notes of whoever did it."""
    with forge("gitlab") as state:
        state.comments, state.system = [(1, ME, BODY)], True
        assert post(at(state), BODY, MARK).sort == "created"


def test_who_wrote_ours_may_be_told() -> None:
    with forge("github") as state:
        state.comments = [(1, ME, BODY)]
        made: Any = connected(Place("github", state.base, "acme/mesh", 12, author="planner"), TOKEN)
        assert post(made, BODY, MARK).sort == "unchanged"
        assert "GET /user" not in state.calls


def test_a_project_by_its_path_is_one_part_of_the_address() -> None:
    made: Any = connected(Place("gitlab", "https://forge.example", "acme/mesh", 12), TOKEN)
    assert made._notes == "/projects/acme%2Fmesh/merge_requests/12/notes"


def test_a_jobs_own_token_at_github_knows_no_user() -> None:
    with forge("github") as state:
        state.knows_user = False
        post(at(state), BODY, MARK)
        assert post(at(state), f"{BODY} 2", MARK).sort == "updated"


def test_a_token_goes_over_https_only() -> None:
    with pytest.raises(ForgeError, match="https"):
        github.client("http://forge.example/api", TOKEN)
    for made in (github, gitlab, gitea):
        assert TOKEN not in repr(made.client("https://forge.example", TOKEN))


GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/mesh",
    "GITHUB_REF": "refs/pull/12/merge",
    "GITHUB_API_URL": "https://ghe.example/api/v3",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_API_V4_URL": "https://gitlab.example/api/v4",
    "CI_PROJECT_ID": "42",
    "CI_MERGE_REQUEST_IID": "12",
    "CI_MERGE_REQUEST_PROJECT_URL": "https://gitlab.example/acme/mesh",
}
GITEA = {
    "GITEA_ACTIONS": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/mesh",
    "GITHUB_REF": "refs/pull/12/head",
    "GITHUB_SERVER_URL": "https://gitea.example",
}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        (GITHUB, Place("github", "https://ghe.example/api/v3", "acme/mesh", 12)),
        (
            GITLAB,
            Place(
                "gitlab",
                "https://gitlab.example/api/v4",
                "42",
                12,
                "https://gitlab.example/acme/mesh/-/merge_requests/12",
            ),
        ),
        (GITEA, Place("gitea", "https://gitea.example/api/v1", "acme/mesh", 12)),
    ],
)
def test_a_job_knows_where_it_runs(environment: dict[str, str], found: Place) -> None:
    assert place(environment, {}) == found


def test_a_job_of_forgejo_is_one_of_gitea() -> None:
    environment = {**GITEA, "FORGEJO_ACTIONS": "true"}
    del environment["GITEA_ACTIONS"]
    assert place(environment, {}).forge == "gitea"


def test_github_is_where_it_is_unless_a_job_says_otherwise() -> None:
    environment = {key: value for key, value in GITHUB.items() if key != "GITHUB_API_URL"}
    assert place(environment, {}).api == "https://api.github.com"
    assert place(GITHUB, {"api": "https://other.example/"}).api == "https://other.example"


def test_what_is_given_goes_first_and_what_is_missing_is_named() -> None:
    with pytest.raises(ForgeError, match="--forge-change"):
        place({**GITHUB, "GITHUB_REF": "refs/pull/12/merge/more"}, {})
    assert place(GITHUB, {"change": "9"}).change == 9
    with pytest.raises(ForgeError, match="--forge-change"):
        place({**GITHUB, "GITHUB_REF": "refs/heads/main"}, {})
    with pytest.raises(ForgeError, match="--forge,"):
        place({}, {})
    with pytest.raises(ForgeError, match="no number"):
        place(GITHUB, {"change": "latest"})


def test_tokens_have_names_of_their_own() -> None:
    assert token_of("gitlab", {"GITLAB_TOKEN": "a", "GITHUB_TOKEN": "b"}) == "a"
    assert token_of("gitlab", {"GITLAB_TOKEN": "a", "RECONCILER_FORGE_TOKEN": "c"}) == "c"
    assert token_of("github", {}) == ""
