// A server of HTTP/2 and HTTP/1.1, and of gRPC, on the listening socket it finds as a descriptor. Prints one line of
// JSON for each request that reaches it, before it answers.
// usage: node h2_server.js DESCRIPTOR CERTIFICATE KEY [FOLDER with @grpc/grpc-js]
'use strict';
const fs = require('fs'), http2 = require('http2'), net = require('net');
const [descriptor, certificate, key, folder] = process.argv.slice(2);
const cert = fs.readFileSync(certificate), secret = fs.readFileSync(key);
const seen = (what) => fs.writeSync(1, JSON.stringify(what) + '\n');

function web() {
  // Ten large answers at once are more than Node lets one connection hold.
  const server = http2.createSecureServer({cert, key: secret, allowHTTP1: true, maxSessionMemory: 1000});
  server.on('request', (request, response) => {
    seen({version: request.httpVersion, method: request.method, path: request.url, headers: request.headers});
    response.on('error', () => {});
    if (request.url === '/echo') return void request.pipe(response);
    if (request.url === '/trailers') {
      response.setHeader('Trailer', 'x-after');
      response.addTrailers({'x-after': 'the end'});
      return void response.end('body\n');
    }
    if (request.url === '/big') return void response.end(Buffer.alloc(4 << 20, 'x'));
    if (request.url === '/wait') return;
    request.resume();
    response.end('hello\n');
  });
  server.on('sessionError', () => {});
  server.listen({fd: Number(descriptor)});
}

// pkg.Svc: messages are plain bytes, so that no compiler is needed.
function grpc() {
  const grpcjs = require(folder + '/@grpc/grpc-js');
  const plain = (more) => ({requestSerialize: (x) => x, requestDeserialize: (x) => x, responseSerialize: (x) => x,
                            responseDeserialize: (x) => x, requestStream: false, responseStream: false, ...more});
  const server = new grpcjs.Server();
  const noted = (name, handler) => (call, ...rest) => {
    seen({method: name, metadata: call.metadata.getMap()});
    return handler(call, ...rest);
  };
  server.addService({
    Echo: plain({path: '/pkg.Svc/Echo'}),
    Missing: plain({path: '/pkg.Svc/Missing'}),
    Count: plain({path: '/pkg.Svc/Count', responseStream: true}),
    Chat: plain({path: '/pkg.Svc/Chat', requestStream: true, responseStream: true}),
    Delete: plain({path: '/pkg.Svc/Delete'}),
  }, {
    Echo: noted('Echo', (call, done) => done(null, call.request)),
    Missing: noted('Missing', (call, done) => done({code: grpcjs.status.NOT_FOUND, details: 'no such thing'})),
    Count: noted('Count', (call) => {
      for (let i = 0; i < Number(call.request.toString()); ++i) call.write(Buffer.from(String(i)));
      call.end();
    }),
    Chat: noted('Chat', (call) => {
      call.on('data', (message) => call.write(Buffer.from('you said ' + message)));
      call.on('end', () => call.end());
      call.on('error', () => {});
    }),
    Delete: noted('Delete', (call, done) => done(null, call.request)),
  });
  const credentials = grpcjs.ServerCredentials.createSsl(null, [{private_key: secret, cert_chain: cert}], false);
  const injector = server.createConnectionInjector(credentials);
  net.createServer((socket) => injector.injectConnection(socket)).listen({fd: Number(descriptor)});
}

folder ? grpc() : web();
process.stdout.on('error', () => process.exit(0));
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
