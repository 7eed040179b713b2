"""The comment of a change on each forge: made once, updated after, and nobody else's touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.forge import gitea, github, gitlab
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


def test_what_is_given_goes_first_and_what_is_missing_is_named() -> None:
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
