"""A gRPC application of a network test, which knows nothing of any mesh: an echo that says who it
is, and grpc.health.v1 of one service, `live`.

    python grpc_app.py serve 9001 east
    python grpc_app.py call echo.mesh:80 hello
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

ECHO = "/test.Echo/Say"
CALL_S = 5.0
LIVE = b"\n\x04live"  # HealthCheckRequest{service: "live"}
SERVING = b"\x08\x01"


def serve(port: str, says: str) -> None:
    def said(request: bytes, _: grpc.ServicerContext) -> bytes:
        return f"{says} ".encode() + request

    def checked(request: bytes, context: grpc.ServicerContext) -> bytes:
        if request != LIVE:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return SERVING

    server = grpc.server(ThreadPoolExecutor(4))
    for service, method, answer in (
        ("test.Echo", "Say", said),
        ("grpc.health.v1.Health", "Check", checked),
    ):
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            method: grpc.unary_unary_rpc_method_handler(answer)
        }
        generic = grpc.method_handlers_generic_handler(service, handlers)
        server.add_generic_rpc_handlers((generic,))
    server.add_insecure_port(f"[::]:{port}")
    server.start()
    server.wait_for_termination()


def call(target: str, text: str) -> None:
    """Prints the answer; ends with 1 where there is none."""
    with grpc.insecure_channel(target) as channel:
        asked: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)
        try:
            answer = asked(text.encode(), timeout=CALL_S)
        except grpc.RpcError as error:
            sys.exit(str(error))
    sys.stdout.write(f"{answer.decode()}\n")


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
