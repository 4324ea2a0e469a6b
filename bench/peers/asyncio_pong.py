# SPDX-License-Identifier: MIT
"""Ping-pong on asyncio, or on uvloop if its name is the third argument: protocols."""
import asyncio
import sys

REPLY = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n"


class Pong(asyncio.Protocol):
    head = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.transport.write(REPLY)
            self.transport.close()


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Pong, sys.argv[1], int(sys.argv[2]), backlog=4096)
    await server.serve_forever()


if sys.argv[3:] == ["uvloop"]:
    import uvloop

    uvloop.install()
asyncio.run(main())
