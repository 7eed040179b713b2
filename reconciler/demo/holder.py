"""Holds a network of its own for the demo's visitor: started in new namespaces of network and
mounts, which last as long as it does.

    python -m reconciler.demo.holder RESOLV_CONF SOCKET PORT...

Makes the network look like a machine's with one interface, puts RESOLV_CONF in the place of the
machine's, and hands sockets that listen on these ports of its loopback to whoever listens on the
unix socket SOCKET. Ends when that connection does.
"""

from __future__ import annotations

import socket
import subprocess
import sys

ADDRESS = "198.18.0.1"  # of the range for measurements
NAME_SERVER = "198.18.0.2"  # of nobody: questions to it are redirected
# A pair of ends, so that there is a way out by something that is not loopback; it leads nowhere.
COMMANDS = (
    "ip link set dev lo up",
    "ip link add name visitor0 type veth peer name visitor1",
    "ip link set dev visitor1 up",
    "ip link set dev visitor0 up",
    f"ip address add {ADDRESS}/24 dev visitor0",
    f"ip route add default via {NAME_SERVER} dev visitor0",
    "mount --make-rprivate /",
)


def main() -> None:
    resolv_conf, path, *ports = sys.argv[1:]
    for command in (*COMMANDS, f"mount --bind {resolv_conf} /etc/resolv.conf"):
        subprocess.run(command.split(), check=True)
    listening = [socket.create_server(("127.0.0.1", int(port))) for port in ports]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as demo:
        demo.connect(path)
        socket.send_fds(demo, [b"ready"], [each.fileno() for each in listening])
        for each in listening:
            each.close()
        demo.recv(1)  # Nothing comes but the end.


if __name__ == "__main__":
    main()
