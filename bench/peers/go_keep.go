// SPDX-License-Identifier: MIT

// Keep-alive ping-pong on Go's net package: one goroutine for each connection, waiting in Read. Its
// buffer is a bufio.Reader of the default 4 KiB, or with a third argument, "lean", a bare 1 KiB.
package main

import (
	"bufio"
	"bytes"
	"log"
	"net"
	"os"
)

var (
	reply   = []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nPong!")
	headEnd = []byte("\r\n\r\n")
)

func serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		line, err := reader.ReadSlice('\n')
		if err == nil && len(line) == len("\r\n") {
			_, err = conn.Write(reply)
		}
		if err != nil {
			return
		}
	}
}

func serveLean(conn net.Conn) {
	defer conn.Close()
	var head [1024]byte
	for n := 0; n < len(head); {
		m, err := conn.Read(head[n:])
		if err != nil {
			return
		}
		n += m
		for {
			end := bytes.Index(head[:n], headEnd)
			if end < 0 {
				break
			}
			if _, err := conn.Write(reply); err != nil {
				return
			}
			n = copy(head[:], head[end+len(headEnd):n])
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		log.Fatal(err)
	}
	handle := serve
	if len(os.Args) > 3 && os.Args[3] == "lean" {
		handle = serveLean
	}
	for {
		if conn, err := listener.Accept(); err == nil {
			go handle(conn)
		}
	}
}
