"""The comment of a pull request, on GitHub, GitLab and Gitea: written once, then updated. Shell.

A provider is a `Forge`: which comments there are and whose, one to make, one to change. `posting`
decides what to do, and never touches a comment of somebody else.
"""
