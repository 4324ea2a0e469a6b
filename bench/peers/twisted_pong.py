# SPDX-License-Identifier: MIT
"""Ping-pong on Twisted, with the epoll reactor: protocols."""
import sys

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import protocol, reactor  # noqa: E402

REPLY = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n"


class Pong(protocol.Protocol):
    head = b""

    def dataReceived(self, data):
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.transport.write(REPLY)
            self.transport.loseConnection()


factory = protocol.Factory.forProtocol(Pong)
factory.noisy = False
reactor.listenTCP(int(sys.argv[2]), factory, backlog=4096, interface=sys.argv[1])
reactor.run()
