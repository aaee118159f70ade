// Calls every kind of method of the stand-in's pkg.Svc with the ordinary library; prints JSON of what came back.
// usage: node grpc_client.js FOLDER HOST:PORT [METADATA-NAME METADATA-VALUE]
'use strict';
const [folder, target, name, value] = process.argv.slice(2);
const grpc = require(folder + '/@grpc/grpc-js');
const metadata = () => {
  const made = new grpc.Metadata();
  if (name) made.set(name, value);
  return made;
};
const same = (x) => x;
const client = new grpc.Client(target, grpc.credentials.createSsl(require('fs').readFileSync(process.env.SSL_CERT_FILE)));
const deadline = () => ({deadline: Date.now() + 15000});

const unary = (method, text, options = {}) => new Promise((done) => {
  client.makeUnaryRequest('/pkg.Svc/' + method, same, same, Buffer.from(text), metadata(), {...deadline(), ...options},
      (error, reply) => done(error ? {code: error.code, details: error.details} : {reply: reply.toString()}));
});
const count = (n) => new Promise((done) => {
  const got = [];
  const call = client.makeServerStreamRequest('/pkg.Svc/Count', same, same, Buffer.from(String(n)), metadata(), deadline());
  call.on('data', (message) => got.push(message.toString()));
  call.on('error', (error) => done({code: error.code, details: error.details}));
  call.on('status', (status) => status.code === 0 && done({messages: got.length, last: got.at(-1)}));
});
// Each message is sent once the reply to the one before is here: a boundary that waits for the end would hang.
const chat = () => new Promise((done) => {
  const got = [];
  const call = client.makeBidiStreamRequest('/pkg.Svc/Chat', same, same, metadata(), deadline());
  call.on('data', (message) => {
    got.push(message.toString());
    if (got.length < 5) call.write(Buffer.from('word ' + got.length)); else call.end();
  });
  call.on('error', (error) => done({code: error.code, details: error.details}));
  call.on('status', (status) => status.code === 0 && done({messages: got}));
  call.write(Buffer.from('word 0'));
});

(async () => {
  const out = {};
  out.echo = await unary('Echo', 'hello');
  out.large = await unary('Echo', 'x'.repeat(1000000)).then((r) => r.reply ? {size: r.reply.length} : r);
  out.missing = await unary('Missing', 'x');
  out.remove = await unary('Delete', 'x');
  out.unknown = await unary('Nothing', 'x');
  out.count = await count(1000);
  out.chat = await chat();
  console.log(JSON.stringify(out));
  client.close();
})();
