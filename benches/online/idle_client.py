"""Connections that stay open: `idle_client.py PORT COUNT SOURCE_ADDRESS [BODY]`, where BODY is asked once on each.

Prints as JSON how many were opened and answered; when its input ends, how many are open still, and closes them.
"""

from __future__ import annotations

import json
import socket
import sys
from contextlib import suppress

SECONDS = 30
"""How long a connection and an answer may take."""


def main() -> None:
    """Opens the connections, and keeps them."""
    port, count, source, *body = sys.argv[1:]
    connections = [one for _ in range(int(count)) if (one := opened(int(port), source))]
    answered = sum(ask(one, body[0]) for one in connections) if body else 0
    print(json.dumps({"opened": len(connections), "answered": answered}), flush=True)
    sys.stdin.read()
    print(json.dumps({"open": sum(map(is_open, connections))}), flush=True)


def opened(port: int, source: str) -> socket.socket | None:
    """Returns a connection, if the server takes it. Each source address has ports of its own."""
    with suppress(OSError):
        return socket.create_connection(("127.0.0.1", port), SECONDS, (source, 0))
    return None


def ask(connection: socket.socket, body: str) -> bool:
    """Returns whether a request is answered with 200, and reads the answer to its end."""
    head = "POST /get-online-features HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    with suppress(OSError):
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            if not (part := connection.recv(65536)):
                return False
            answer += part
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(rest) < length and (part := connection.recv(65536)):
            rest += part
        return head.split()[1] == b"200" and len(rest) == length
    return False


def is_open(connection: socket.socket) -> bool:
    """Returns whether the other side has not closed a connection on which nothing is sent."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
