"""What a change of the policy repository would do to real traffic, before it is merged. Pure.

From two states of the policies and what the zones have told of their proxies in Git: `fleet` makes
the proxies, `worlds` computes what each would run on either side, as their zones would; `effect`,
`edges` and `settings` compare. `plan` puts it together, `text`, `markdown` and `data` show it.
"""
