# SPDX-License-Identifier: MIT
"""Ping-pong on gevent's StreamServer: one greenlet for each connection."""
import sys

from gevent.server import StreamServer

REPLY = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n"


def serve(conn, _peer):
    head = b""
    while b"\r\n\r\n" not in head:
        data = conn.recv(4096)
        if not data:
            return
        head += data
    conn.sendall(REPLY)


StreamServer((sys.argv[1], int(sys.argv[2])), serve, backlog=4096).serve_forever()
