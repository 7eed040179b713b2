"""What can go wrong with a repository, in three words a caller acts on.

    GitFailed
    ├── Transient           the same call may succeed later: back off and try again
    │   └── Throttled       the server asks for fewer calls: wait longer between them
    └── Permanent           a person must change something; the text says what
        ├── CommitRejected  this commit cannot be read as policies; a newer one can
        ├── RefMoved        compare-and-swap lost: read the tip again, rebuild, retry
        └── RewriteRefused  the server lets this ref grow only: leave its history as it is

Texts name the repository without its credentials, what is wrong, and the cure.
"""

from __future__ import annotations


class GitFailed(Exception):
    """Never raised itself."""


class Transient(GitFailed):
    """The network, the server or a lock; worth another attempt after a wait."""


class Throttled(Transient):
    """The server's limit on the rate of calls, in its own words."""


class Permanent(GitFailed):
    """Stays wrong until someone changes the repository, the server or a setting."""


class CommitRejected(Permanent):
    """A commit beyond a limit, or without the policy path: the user's fault, a problem."""


class RefMoved(Permanent):
    """The ref is not where the writer saw it; nothing was written."""


class RewriteRefused(Permanent):
    """A push that is no fast-forward was asked for and refused; nothing was written."""
