"""A network's own name server, for network tests: a few names by UDP and TCP, NXDOMAIN for all
others. Standard library only.

    python name_server.py 198.18.0.2 outside.example=198.18.0.2,fd00:198::2
"""

from __future__ import annotations

import ipaddress
import socketserver
import sys
import threading

A, AAAA = 1, 28
NAMES: dict[str, list[str]] = {}
TTL_S = 5


def answer(query: bytes) -> bytes:
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    question, kind = query[12 : at + 5], int.from_bytes(query[at + 1 : at + 3], "big")
    addresses = NAMES.get(".".join(labels).lower())
    packed = [ipaddress.ip_address(each).packed for each in addresses or ()]
    chosen = [each for each in packed if len(each) == {A: 4, AAAA: 16}.get(kind)]
    code = 3 if addresses is None else 0
    head = query[:2] + bytes((0x85, 0x80 | code)) + b"\0\1" + len(chosen).to_bytes(2, "big")
    records = b"".join(
        b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\1" + TTL_S.to_bytes(4, "big")
        + len(each).to_bytes(2, "big") + each
        for each in chosen
    )  # fmt: skip
    return head + b"\0\0\0\0" + question + records


class ByUdp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(answer(data), self.client_address)


class ByTcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while size := self.rfile.read(2):
            said = answer(self.rfile.read(int.from_bytes(size, "big")))
            self.wfile.write(len(said).to_bytes(2, "big") + said)


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    where, *names = sys.argv[1:]
    for each in names:
        name, _, addresses = each.partition("=")
        NAMES[name] = addresses.split(",")
    udp = socketserver.ThreadingUDPServer((where, 53), ByUdp)
    threading.Thread(target=udp.serve_forever, daemon=True).start()
    Tcp((where, 53), ByTcp).serve_forever()


if __name__ == "__main__":
    main()
