// SPDX-License-Identifier: MIT
// Ping-pong on Node's net module: callbacks.
const net = require('net');

const reply = Buffer.from('HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n');
const [host, port] = process.argv.slice(2);

const server = net.createServer({ noDelay: true }, (socket) => {
  let head = '';
  socket.on('data', (data) => {
    head += data.toString('latin1');
    if (head.includes('\r\n\r\n')) socket.end(reply);
  });
  socket.on('error', () => socket.destroy());
});
server.listen({ host, port: Number(port), backlog: 4096 });
