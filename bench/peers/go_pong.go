// SPDX-License-Identifier: MIT

// Ping-pong on Go's net package: one goroutine for each connection. The backlog is the kernel's
// limit, net.core.somaxconn.
package main

import (
	"bytes"
	"log"
	"net"
	"os"
)

var reply = []byte("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n")

func serve(conn net.Conn) {
	defer conn.Close()
	var head [4096]byte
	for n := 0; n < len(head); {
		m, err := conn.Read(head[n:])
		if err != nil {
			return
		}
		n += m
		if bytes.Contains(head[:n], []byte("\r\n\r\n")) {
			conn.Write(reply)
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		log.Fatal(err)
	}
	for {
		if conn, err := listener.Accept(); err == nil {
			go serve(conn)
		}
	}
}
