# SPDX-License-Identifier: MIT
"""Ping-pong on Tornado's TCPServer: one coroutine for each connection."""
import asyncio
import sys

from tornado.iostream import StreamClosedError
from tornado.tcpserver import TCPServer

REPLY = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n"


class Pong(TCPServer):
    async def handle_stream(self, stream, address):
        try:
            await stream.read_until(b"\r\n\r\n")
            await stream.write(REPLY)
        except StreamClosedError:
            pass
        stream.close()


async def main():
    server = Pong()
    server.bind(int(sys.argv[2]), sys.argv[1], backlog=4096)
    server.start()
    await asyncio.Event().wait()


asyncio.run(main())
