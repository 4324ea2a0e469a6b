// SPDX-License-Identifier: MIT

// Keep-alive ping-pong on Go's net/http, which adds no header of its own if it is asked not to.
package main

import (
	"log"
	"net"
	"net/http"
	"os"
)

var body = []byte("Pong!")

func pong(reply http.ResponseWriter, _ *http.Request) {
	header := reply.Header()
	header["Date"] = nil
	header["Content-Type"] = nil
	reply.Write(body)
}

func main() {
	log.Fatal(http.ListenAndServe(net.JoinHostPort(os.Args[1], os.Args[2]), http.HandlerFunc(pong)))
}
