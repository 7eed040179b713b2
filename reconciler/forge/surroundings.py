"""Where a CI job runs, from its environment: which forge, repository and change. Pure.

Variables are those that GitHub Actions, GitLab CI and Gitea's runner set for each job. The token is
read from none that a stranger's change could print: forges do not hand it to such jobs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.forge import gitea, github, gitlab
from reconciler.forge.posting import ForgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.forge.posting import Forge

TOKEN = "RECONCILER_FORGE_TOKEN"  # noqa: S105 - a name
GITHUB_API = "https://api.github.com"
_PULL = re.compile(r"refs/pull/([0-9]+)/(merge|head)")
_TOKENS = {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN", "gitea": "GITEA_TOKEN"}
FORGES = tuple(_TOKENS)


@dataclass(frozen=True, slots=True)
class Place:
    """`api`: address of its API; `change`: the pull or merge request's number."""

    forge: str
    api: str
    repository: str
    change: int
    page: str = ""
    author: str = ""  # of our comments, where the token cannot tell


def place(environment: Mapping[str, str], given: Mapping[str, str]) -> Place:
    """`given` (forge, api, repository, change, author) goes before the environment. Raises
    ForgeError, which names the options that are missing.
    """
    forge = given.get("forge") or _forge(environment)
    found = _found(forge, environment)
    values = {name: given.get(name) or found.get(name, "") for name in _NAMES}
    missing = [f"--forge-{name}" for name in _NAMES if not values[name]]
    if missing or not forge:
        wanted = ", ".join(["--forge"] * (not forge) + missing)
        raise ForgeError(f"which change of which repository? this is no job of one: give {wanted}")
    if not values["change"].isdecimal():
        raise ForgeError(f'"{values["change"]}" is no number of a change; correct --forge-change')
    api = values["api"].rstrip("/")
    return Place(
        forge,
        api,
        values["repository"],
        int(values["change"]),
        found.get("page", ""),
        given.get("author", ""),
    )


_NAMES = ("api", "repository", "change")


def _forge(environment: Mapping[str, str]) -> str:
    if environment.get("GITEA_ACTIONS") == "true" or environment.get("FORGEJO_ACTIONS") == "true":
        return "gitea"
    if environment.get("GITLAB_CI") == "true":
        return "gitlab"
    return "github" if environment.get("GITHUB_ACTIONS") == "true" else ""


def _found(forge: str, environment: Mapping[str, str]) -> dict[str, str]:
    if forge == "gitlab":
        project, change = (
            environment.get(name, "") for name in ("CI_PROJECT_ID", "CI_MERGE_REQUEST_IID")
        )
        page = environment.get("CI_MERGE_REQUEST_PROJECT_URL", "")
        found = {"api": environment.get("CI_API_V4_URL", ""), "repository": project}
        page = f"{page}/-/merge_requests/{change}" if page and change else ""
        return {**found, "change": change, "page": page}
    pull = _PULL.fullmatch(environment.get("GITHUB_REF", ""))
    api = environment.get("GITHUB_API_URL", "")
    if forge == "gitea" and not api:
        api = environment.get("GITHUB_SERVER_URL", "") + "/api/v1"
    if forge == "github" and not api:
        api = GITHUB_API
    found = {"api": api, "repository": environment.get("GITHUB_REPOSITORY", "")}
    return {**found, "change": pull[1] if pull else ""}


def token_of(forge: str, environment: Mapping[str, str]) -> str:
    """ "" where there is none."""
    return environment.get(TOKEN) or environment.get(_TOKENS[forge], "")


def connected(at: Place, token: str) -> Forge:
    """Raises ForgeError."""
    match at.forge:
        case "github":
            client = github.client(at.api, token)
            return github.GitHub(client, at.repository, at.change, at.author)
        case "gitlab":
            return gitlab.GitLab(gitlab.client(at.api, token), at.repository, at.change, at.page)
        case "gitea":
            return gitea.Gitea(gitea.client(at.api, token), at.repository, at.change)
        case _:
            raise ForgeError(f'there is no forge "{at.forge}"; use one of {", ".join(FORGES)}')
