"""Git: a bare mirror of the policy repository, hints when it moves, swaps of status refs.

pygit2 stays in here. Local repositories are read and written in this process; every other remote
is spoken to by a child process that can be killed. Nothing is ever checked out.
"""
