"""`reconciler token`: tokens for proxies and zones, offline from the global's state directory."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.options import count
from reconciler.cli.wait import seconds

if TYPE_CHECKING:
    from reconciler.keys.join import Join
    from reconciler.keys.secret_store import SecretStore

EXAMPLES = {
    "dataplane": "reconciler token dataplane --mesh default --name web-1 "
    "--state-dir DIR --out web-1.token",
    "zone": "reconciler token zone east --global grpcs://global.example:5685 "
    "--state-dir DIR --out east.join",
    "zone-proxy": "reconciler token zone-proxy --zone east --scope ingress "
    "--state-dir DIR --out ingress.token",
    "user": "reconciler token user alice --state-dir DIR --out alice.token",
    "new-key": "reconciler token new-key --mesh default --state-dir DIR",
    "remove-key": "reconciler token remove-key --mesh default --kid 1 --state-dir DIR",
    "revoke": "reconciler token revoke --mesh default --token-file web-1.token --state-dir DIR",
}
YEAR_S = 365 * 86400.0


class TokenError(Exception):
    """It cannot be issued; the text says why and what to do."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "token",
        help="issue and revoke tokens, change their keys",
        epilog="example: reconciler token dataplane --mesh default --name web-1 --state-dir DIR\n"
        + "\n".join(f"         {example}" for example in EXAMPLES.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    dataplane = _kind(kinds, "dataplane", "for a sidecar")
    dataplane.add_argument("--mesh", default="default")
    dataplane.add_argument("--name", default="", help="of the Dataplane; without: any of the mesh")
    dataplane.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="the proxy must have the tag, with no other values (may be repeated)",
    )
    dataplane.add_argument("--workload", default="", help="value of the label kuma.io/workload")
    zone = _kind(kinds, "zone", "a join file for a zone control plane")
    zone.add_argument("zone")
    zone.add_argument("--global", dest="address", required=True, metavar="grpcs://HOST:PORT")
    proxy = _kind(kinds, "zone-proxy", "for a zone ingress or egress")
    proxy.add_argument("--zone", required=True)
    proxy.add_argument("--scope", action="append", choices=("ingress", "egress"), required=True)
    user = _kind(kinds, "user", "for who uses the HTTP API of a global or a zone")
    user.add_argument("name")
    user.add_argument("--group", action="append", default=[], help="of the user; may be repeated")
    for kind in (dataplane, proxy, user):
        kind.add_argument("--out", type=Path, help="file to write (mode 0600) instead of printing")
    zone.add_argument("--out", type=Path, required=True, help="the join file to write (mode 0600)")
    _add_keys(kinds)


def _kind(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=purpose, epilog=f"example: {EXAMPLES[name]}")
    parser.add_argument("--state-dir", type=Path, help="state directory of the global")
    parser.add_argument(
        "--valid-for", type=seconds, default=YEAR_S, help="such as 720h (default: a year)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    from reconciler.keys.join import JoinError
    from reconciler.keys.token_keys import TokenKeyError

    try:
        _ISSUE[args.kind](args, _secrets(args))
    except (TokenError, TokenKeyError, JoinError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _secrets(args: argparse.Namespace) -> SecretStore:
    from reconciler.keys.secret_store import FileSecrets

    if args.state_dir is None:
        raise TokenError("whose tokens? name the global's state directory with --state-dir")
    folder = Path(args.state_dir) / "secrets"
    if not folder.is_dir():
        raise TokenError(f"{args.state_dir} is not the state directory of a global that ran once")
    return FileSecrets(folder)


def _dataplane(args: argparse.Namespace, store: SecretStore) -> None:
    from reconciler.ca.keys import dataplane_signing_key
    from reconciler.ca.tokens import dataplane_claims, issue
    from reconciler.keys.token_keys import signing_key

    kid, key = signing_key(store, dataplane_signing_key(args.mesh))
    claims = dataplane_claims(args.mesh, args.name, _tags(args.tag), args.workload)
    _hand_out(args, issue(key, claims, time.time(), args.valid_for, kid))


def _tags(pairs: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, values = pair.partition("=")
        if not name or not all(values.split(",")):
            raise TokenError(f'--tag "{pair}" is not KEY=VALUE or KEY=VALUE,VALUE')
        found.setdefault(name, []).extend(values.split(","))
    return found


def _zone_proxy(args: argparse.Namespace, store: SecretStore) -> None:
    if not args.zone:
        raise TokenError("--zone must name a zone: without it the token would open every zone")
    _hand_out(args, _zone_token(args, store, tuple(args.scope)))


def _user(args: argparse.Namespace, store: SecretStore) -> None:
    from reconciler.ca.keys import USER_SIGNING_KEY
    from reconciler.ca.tokens import issue, user_claims
    from reconciler.keys.token_keys import signing_key

    if not args.name:
        raise TokenError("whose token? name the user")
    kid, key = signing_key(store, USER_SIGNING_KEY)
    claims = user_claims(args.name, tuple(args.group))
    _hand_out(args, issue(key, claims, time.time(), args.valid_for, kid))


def _zone(args: argparse.Namespace, store: SecretStore) -> None:
    from reconciler.fleet import CLUSTER_ID
    from reconciler.keys.join import Join, write_join

    tls = Path(args.state_dir) / "tls"
    if not (tls / "ca.pem").exists():
        raise TokenError("the global has no certificate yet: start it once")
    ca_pem = (tls / "ca.pem").read_text()
    cluster = (store.get(CLUSTER_ID) or b"").decode()
    join = Join(args.zone, args.address, ca_pem, _zone_token(args, store, ("cp",)), cluster)
    _check_host(join, (tls / "cert.pem").read_bytes())
    write_join(args.out, join)
    sys.stderr.write(f"{args.out} lets a control plane join as zone {args.zone}; keep it private\n")


def _check_host(join: Join, cert_pem: bytes) -> None:
    """The zone would refuse the global for ever, far from whoever could tell why."""
    from reconciler.ca.server_tls import hosts_of

    host, _, tls = join.target
    hosts = hosts_of(cert_pem)
    if tls and host not in map(str.lower, hosts):
        raise TokenError(
            f'the global\'s certificate is not for "{host}", only for {", ".join(hosts)}; name one '
            f"of these, or start the global with --tls-host {host}, which says what else to do"
        )


def _zone_token(args: argparse.Namespace, store: SecretStore, scope: tuple[str, ...]) -> str:
    from reconciler.ca.keys import ZONE_SIGNING_KEY
    from reconciler.ca.tokens import issue, zone_claims
    from reconciler.keys.token_keys import signing_key

    kid, key = signing_key(store, ZONE_SIGNING_KEY)
    return issue(key, zone_claims(args.zone, scope), time.time(), args.valid_for, kid)


def _hand_out(args: argparse.Namespace, token: str) -> None:
    from reconciler.keys.secret_store import write_private

    if args.out is None:
        sys.stdout.write(f"{token}\n")
    else:
        write_private(args.out, f"{token}\n".encode())


# --- keys that change, and tokens that end ---


def _add_keys(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    new = _keeper(kinds, "new-key", "make a signing key; new tokens are signed with it")
    old = _keeper(kinds, "remove-key", "remove a signing key; the tokens it signed end")
    old.add_argument("--kid", type=count, required=True, help="of the key, as its tokens have it")
    revoke = _keeper(kinds, "revoke", "end one token, and the streams it opened")
    revoke.add_argument("--token-file", type=Path, help="the token, or the join file that holds it")
    revoke.add_argument("--id", help="the token's id (jti), instead of its file")
    for parser in (new, old, revoke):
        parser.add_argument("--mesh", help="of dataplane tokens; without: zones and zone proxies")
        parser.add_argument(
            "--users", action="store_true", help="of user tokens, which open the HTTP API"
        )


def _keeper(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=purpose, epilog=f"example: {EXAMPLES[name]}")
    parser.add_argument("--state-dir", type=Path, help="state directory of the global")
    return parser


def _new_key(args: argparse.Namespace, store: SecretStore) -> None:
    from reconciler.keys.token_keys import add_key, prefix_of

    kid = add_key(store, prefix_of(args.mesh, users=args.users))
    sys.stderr.write(
        f"key {kid} signs from now on. Once all tokens are issued anew, end the old ones with "
        f"`reconciler token remove-key`\n"
    )


def _remove_key(args: argparse.Namespace, store: SecretStore) -> None:
    from reconciler.keys.token_keys import prefix_of, remove_key

    remove_key(store, prefix_of(args.mesh, users=args.users), args.kid)
    sys.stderr.write(f"key {args.kid} is removed; tokens that it signed open nothing any more\n")


def _revoke(args: argparse.Namespace, store: SecretStore) -> None:
    from reconciler.keys.token_keys import prefix_of, revoke, token_id

    if (args.id is None) == (args.token_file is None):
        raise TokenError("which token? give --token-file, or --id")
    prefix = prefix_of(args.mesh, users=args.users)
    found = args.id or token_id(store, prefix, args.token_file.read_text(), time.time())
    revoke(store, prefix, found)
    sys.stderr.write(f"token {found} is revoked\n")


_ISSUE = {
    "dataplane": _dataplane,
    "zone": _zone,
    "user": _user,
    "zone-proxy": _zone_proxy,
    "new-key": _new_key,
    "remove-key": _remove_key,
    "revoke": _revoke,
}
