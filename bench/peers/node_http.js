// SPDX-License-Identifier: MIT
// Keep-alive ping-pong on Node's http module, which adds no header of its own if it is asked not to.
const http = require('http');

const [host, port] = process.argv.slice(2);

const server = http.createServer((request, reply) => {
  reply.sendDate = false;
  reply.removeHeader('Connection');
  reply.writeHead(200, { 'Content-Length': 5 });
  reply.end('Pong!');
});
server.keepAliveTimeout = 0;
server.listen({ host, port: Number(port), backlog: 4096 });
