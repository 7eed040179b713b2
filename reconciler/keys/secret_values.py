"""The values that `secrets.yaml` refers to: files below one folder, variables with one prefix.

What is read is decided by the operator's options, not by the repository: a path cannot leave the
folder, by words or by links; a file that others may write, or that everybody may read, is refused.
The last value of a reference is kept, so that a value that vanishes later takes nothing away.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from reconciler.keys.secret_store import SecretStore
    from reconciler.secret_references import SecretReference

VALUE_MAX = 1024 * 1024
KEPT = "value."  # in front of the names under which last values are kept
ENV_PREFIX = "RECONCILER_SECRET_"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

Mark = tuple[int, ...]


class _NotThereError(Exception):
    """Why a reference has no value: words with the cure, never a part of a value."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """`missing` have no value, and `gone` have their last one; both say why. `mark` is equal when
    all of this is equal, and says nothing about the values.
    """

    values: Mapping[SecretReference, bytes] = field(repr=False)
    missing: Mapping[SecretReference, str]
    gone: Mapping[SecretReference, str]
    mark: str


@dataclass(slots=True)
class SecretValues:
    """`folder` is None when the operator named none. `kept` is the global's own store."""

    kept: SecretStore
    folder: Path | None = None
    prefix: str = ENV_PREFIX
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _marks: Mapping[SecretReference, Mark | None] = field(default_factory=dict)

    def resolve(
        self, references: Iterable[SecretReference], also: Iterable[SecretReference] = ()
    ) -> Resolved:
        """What every reference stands for now; `moved` looks at `also` as well. Blocking."""
        values: dict[SecretReference, bytes] = {}
        missing: dict[SecretReference, str] = {}
        gone: dict[SecretReference, str] = {}
        # Before the contents, so that what changes in between is seen by the next look.
        wanted = tuple(references)
        self._marks = self._marks_of((*wanted, *also))
        for reference in wanted:
            try:
                values[reference] = self._read(reference)
            except _NotThereError as error:
                last = self.kept.get(_kept_name(reference))
                if last is None:
                    missing[reference] = str(error)
                else:
                    values[reference], gone[reference] = last, str(error)
        return Resolved(values, missing, gone, self._mark(values, missing, gone))

    def last(self, references: Iterable[SecretReference]) -> Resolved:
        """What the references stood for when they were last in force. Blocking."""
        found = ((r, self.kept.get(_kept_name(r))) for r in references)
        values = {reference: value for reference, value in found if value is not None}
        return Resolved(values, {}, {}, self._mark(values, {}, {}))

    def keep(self, resolved: Resolved) -> None:
        """The values that are in force now; others are forgotten."""
        wanted = {_kept_name(reference): v for reference, v in resolved.values.items()}
        held = {name for name in self.kept.names() if name.startswith(KEPT)}
        for name, value in wanted.items():
            if name not in held or self.kept.get(name) != value:
                self.kept.replace(name, value)
        for name in held - wanted.keys():
            self.kept.remove(name)

    def moved(self) -> bool:
        """Whether a file of the last `resolve` is another one now; told once. Blocking."""
        before = self._marks
        now = self._marks_of(before)
        if now == before:
            return False
        if self._marks is before:  # Else a `resolve` in another thread has looked meanwhile.
            self._marks = now
        return True

    # --- reading ---

    def _read(self, reference: SecretReference) -> bytes:
        if reference.source == "env":
            return self._variable(reference.place)
        try:
            return self._file(reference.place)
        except OSError as error:
            text = f"file {reference.place} of --secrets-dir: {error.strerror}"
            raise _NotThereError(text) from None

    def _variable(self, name: str) -> bytes:
        if not name.startswith(self.prefix):
            text = f"variable {name} does not begin with {self.prefix} (--secrets-env-prefix)"
            raise _NotThereError(text)
        value = self.environment.get(name)
        if not value:
            raise _NotThereError(f"variable {name} of the global is not set; set it and restart")
        data = os.fsencode(value)
        if len(data) > VALUE_MAX:
            raise _NotThereError(f"variable {name} is over the limit of 1 MiB")
        return data

    def _file(self, place: str) -> bytes:
        shown = f"file {place} of --secrets-dir"
        if self.folder is None:
            text = f"{shown}: the global was started without --secrets-dir; name the folder"
            raise _NotThereError(text)
        path = self._inside(place)
        if path is None:
            raise _NotThereError(f"{shown} leads out of the folder; put the file inside")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            fault = self._fault(os.fstat(descriptor))
            if fault is not None:
                raise _NotThereError(f"{shown} {fault}")
            data = file.read(VALUE_MAX + 1)
        if len(data) > VALUE_MAX:
            raise _NotThereError(f"{shown} is over the limit of 1 MiB")
        if not data:  # Also a moment in which somebody writes it: absent is not empty.
            raise _NotThereError(f"{shown} is empty; for an empty list write a line break")
        return data

    def _inside(self, place: str) -> str | None:
        """Where the path really leads. Links are followed as long as they stay: mounted secrets of
        Kubernetes are such links.
        """
        assert self.folder is not None
        base = os.path.realpath(self.folder)
        found = os.path.realpath(os.path.join(base, place))  # noqa: PTH118 - a loop is no exception
        return found if found.startswith(f"{base}/") else None

    def _fault(self, status: os.stat_result) -> str | None:
        assert self.folder is not None
        if not stat.S_ISREG(status.st_mode):
            return "is no regular file"
        if status.st_uid not in (0, os.geteuid()):
            return "belongs to another user; it must be root's or this program's"
        if status.st_mode & _OTHERS_WRITE:
            return "may be written by others; chmod go-w"
        everybody = self.folder.stat().st_mode & stat.S_IXOTH
        if everybody and status.st_mode & stat.S_IROTH:
            return "may be read by everybody; chmod o-r the file or o-x the folder"
        return None

    # --- marks ---

    def _marks_of(
        self, references: Iterable[SecretReference]
    ) -> Mapping[SecretReference, Mark | None]:
        return {r: self._mark_of(r) for r in references if r.source == "file"}

    def _mark_of(self, reference: SecretReference) -> Mark | None:
        try:
            path = self._inside(reference.place) if self.folder is not None else None
            found = os.stat(path) if path is not None else None  # noqa: PTH116
        except OSError:
            return None
        if found is None:
            return None
        place = (found.st_dev, found.st_ino, found.st_uid, found.st_mode)
        return (*place, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def _mark(
        self,
        values: Mapping[SecretReference, bytes],
        *why: Mapping[SecretReference, str],
    ) -> str:
        """Under a key of this process: a digest of a short value would tell it."""
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        told = {r: text.encode() for texts in why for r, text in texts.items()}
        for part in (values, told):
            for reference, value in sorted(part.items(), key=lambda item: item[0].key):
                for each in (_kept_name(reference).encode(), value):
                    mac.update(len(each).to_bytes(8, "big") + each)
            mac.update(b"\0" * 8)
        return mac.hexdigest()


def _kept_name(reference: SecretReference) -> str:
    """Another source is another secret: its last value does not stand for the new one."""
    text = f"{reference.key}|{reference.source}|{reference.place}"
    return f"{KEPT}{hashlib.sha256(text.encode()).hexdigest()}"
