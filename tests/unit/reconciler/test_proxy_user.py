"""Whom a proxy runs as, and whose its folder is."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from reconciler.proxy_user import NotThisUser, User, become, hand_over, user_of

if TYPE_CHECKING:
    from pathlib import Path

OWN = User(os.getuid(), os.getgid())


def test_user_is_a_name_or_a_number_that_need_not_have_one() -> None:
    root = pwd.getpwuid(0)
    assert user_of(root.pw_name) == user_of("0") == User(0, root.pw_gid)
    assert user_of("4000000000") == User(4_000_000_000, 4_000_000_000)


@pytest.mark.parametrize("text", ["", "nobody-of-this-name", "-1", "4294967295", "٣", "a\0b"])
def test_who_is_not_there_is_named(text: str) -> None:
    with pytest.raises(NotThisUser, match="there is no user"):
        user_of(text)


def test_folder_is_made_for_the_user_and_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    hand_over(folder, OWN)
    hand_over(folder, OWN)
    assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(NotThisUser, match="does not belong to user"):
        hand_over(folder, User(OWN.uid + 1, OWN.gid))
    (tmp_path / "file").touch()
    with pytest.raises(NotThisUser):
        hand_over(tmp_path / "file", OWN)


def test_who_one_is_already_one_need_not_become() -> None:
    become(OWN)
    assert (os.getuid(), os.getgid()) == (OWN.uid, OWN.gid)
