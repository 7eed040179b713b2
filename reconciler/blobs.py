"""The files of a policy repository, before anybody reads them: which are read, and how they stand
in a tree. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

SETTINGS_FILE = "reconciler.yaml"
SECRETS_FILE = "secrets.yaml"
SUFFIXES = (".yaml", ".yml", ".json")
REGULAR_MODES = (0o100644, 0o100755, 0o100664)
SYMLINK, SUBMODULE = 0o120000, 0o160000


@dataclass(frozen=True, slots=True)
class Blob:
    """One file of the tree. `data` is None when it was over the size limit and not read. `oid` is
    its name by content, Git's or another; with "", what was read of it is not kept.
    """

    oid: str
    data: bytes | None
    mode: int = 0o100644


def is_policy_file(path: str) -> bool:
    """Folders mean nothing; the two files of the repository itself are no policies, nor is what
    other tools keep under a name with a dot in front (.github, .gitlab-ci.yml).
    """
    if not path.endswith(SUFFIXES) or path in (SETTINGS_FILE, SECRETS_FILE):
        return False
    if path[0] != "." and "/." not in path:  # Nearly every one.
        return True
    return not any(part.startswith(".") and is_plain(part) for part in path.split("/"))


def is_read(path: str) -> bool:
    """A policy file or one of the two of the repository itself."""
    return path in (SETTINGS_FILE, SECRETS_FILE) or is_policy_file(path)


def is_plain(name: str) -> bool:
    """Could be the name of a file everywhere, and is not special to Git."""
    plain = name.lower().rstrip(". ") not in ("", ".git", "git~1") and "\\" not in name
    return plain and name.isprintable() and ":" not in name
