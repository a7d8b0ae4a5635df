// SPDX-License-Identifier: Apache-2.0
//
// crpc and grpc-js with each other: a grpc-js client of a crpc server here, a crpc client (interop_client.c) of a grpc-js server there.
//
//   node crpc_interop.js INTEROP_SERVER INTEROP_CLIENT
'use strict';

const assert = require('assert');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const { test, within, runAll } = require('./lib/cases');
const child = require('./lib/child');
const certificates = require('./lib/certificates');
const echo = require('./lib/echo');
const reflection = require('./lib/reflection');

const [serverProgram, clientProgram] = process.argv.slice(2);
const LOAD = { keepCase: true, enums: String, longs: String, defaults: true, oneofs: true };
const { Echo } = grpc.loadPackageDefinition(loader.loadSync(path.join(__dirname, 'interop.proto'), LOAD)).interop.v1;
const { Health } = grpc.loadPackageDefinition(loader.loadSync(
  path.join(path.dirname(require.resolve('grpc-health-check/package.json')), 'proto/health/v1/health.proto'), LOAD)).grpc.health.v1;
const { status } = grpc;
const insecure = grpc.credentials.createInsecure();
const soon = () => ({ deadline: Date.now() + 20000 });

let server;
let client;
let pems;

/** A unary call: { error, value, headers, trailers }. */
function ask(method, request, metadata, options, by) {
  return new Promise((resolve) => {
    const seen = {};
    const call = (by || client)[method](request, metadata || new grpc.Metadata(), options || soon(), (error, value) =>
      setImmediate(() => resolve({ ...seen, error, value })));
    call.on('metadata', (headers) => { seen.headers = headers; });
    call.on('status', (end) => { seen.trailers = end.metadata; });
  });
}

/** All that a stream sends, and the error it ended with. */
function collect(stream) {
  return new Promise((resolve) => {
    const messages = [];
    stream.on('data', (message) => messages.push(message));
    stream.on('error', (error) => resolve({ messages, error }));
    stream.on('end', () => resolve({ messages }));
  });
}

async function allFields() {
  const note = { text: 'grüß dich 😀', number: '-9223372036854775808', data: Buffer.from([0, 255, 128, 0]), words: ['eins', '二'],
    counts: [0, 1, 4294967295], color: 'RED', part: { number: '-9223372036854775808', weight: -0.5 }, name: 'n' };
  const { error, value } = await ask('Unary', note);
  assert.ifError(error);
  assert.deepStrictEqual({ ...value }, { ...note, choice: 'name' });
  assert.strictEqual((await ask('Unary', {})).value.text, '');
}

async function largeMessages() {
  const data = Buffer.alloc(900 * 1024, 7);
  assert.deepStrictEqual((await ask('Unary', { data })).value.data, data);
  const { error } = await ask('Unary', { data: Buffer.alloc(2 << 20) });
  assert.strictEqual(error.code, status.RESOURCE_EXHAUSTED, error.details);
}

/** gzip and deflate are taken; what grows past the limit is refused, however small it is on the wire. */
async function compressed() {
  for (const algorithm of [grpc.compressionAlgorithms.deflate, grpc.compressionAlgorithms.gzip]) {
    const send = async (data) => {
      // grpc-js compresses the first call only: it does not read the server's list of encodings as gRPC's core writes it
      const by = new Echo(server.address, insecure, { 'grpc.default_compression_algorithm': algorithm });
      const answer = await ask('Unary', { data }, undefined, undefined, by);
      by.close();
      return answer;
    };
    const data = Buffer.alloc(900 * 1024, 7);
    const { error, value } = await send(data);
    assert.ifError(error);
    assert.deepStrictEqual(value.data, data);
    const bomb = await send(Buffer.alloc(64 << 20));
    assert.strictEqual(bomb.error.code, status.RESOURCE_EXHAUSTED, bomb.error.details);
    assert.match(bomb.error.details, /once inflated/);
  }
}

async function badText() {
  const raw = Buffer.from([0x0a, 0x02, 0xc3, 0x28]);
  const error = await new Promise((resolve) => {
    client.makeUnaryRequest('/interop.v1.Echo/Unary', (bytes) => bytes, (bytes) => bytes, raw, soon(), resolve);
  });
  assert.strictEqual(error.code, status.INVALID_ARGUMENT);
  assert.match(error.details, /UTF-8/);
}

async function statusWithDetails() {
  const { error } = await ask('Unary', { text: 'fail' });
  assert.strictEqual(error.code, status.FAILED_PRECONDITION);
  assert.strictEqual(error.details, 'nicht möglich: 100 %');
  assert.deepStrictEqual(error.metadata.get('grpc-status-details-bin')[0], Buffer.from([0, 1, 2, 255]));
  assert.strictEqual((await ask('Unserved', {})).error.code, status.UNIMPLEMENTED);
}

async function metadata() {
  const sent = new grpc.Metadata();
  sent.set('x-text', 'words, and more');
  sent.set('x-raw-bin', Buffer.from([0, 1, 254, 255, 44, 61]));
  const { error, headers, trailers } = await ask('Unary', { text: 'meta' }, sent);
  assert.ifError(error);
  for (const got of [headers, trailers]) {
    assert.deepStrictEqual(got.get('x-text'), ['words, and more']);
    assert.deepStrictEqual(got.get('x-raw-bin'), [Buffer.from([0, 1, 254, 255, 44, 61])]);
  }
}

async function deadlines() {
  const { error } = await ask('Unary', { text: 'hold' }, undefined, { deadline: Date.now() + 200 });
  assert.strictEqual(error.code, status.DEADLINE_EXCEEDED);
  const left = Number((await ask('Unary', { text: 'left' })).value.number);
  assert(left > 10000 && left <= 20100, `${left} ms left`);
}

async function cancellation() {
  const ended = Number((await ask('Unary', { text: 'held', number: 1 })).value.number);
  const cancelled = await new Promise((resolve) => {
    const call = client.Unary({ text: 'hold' }, soon(), (error) => resolve(error));
    ask('Unary', { text: 'after it' }).then(() => call.cancel());
  });
  assert.strictEqual(cancelled.code, status.CANCELLED);
  assert((await ask('Unary', { text: 'held', number: ended + 1 })).value, 'the server has seen it');
}

async function serverStream() {
  const { messages, error } = await collect(client.Down({ number: 500 }, soon()));
  assert.ifError(error);
  assert.deepStrictEqual(messages.map((note) => Number(note.number)), Array.from({ length: 500 }, (_, i) => i + 1));
  assert.deepStrictEqual(await collect(client.Down({ number: 0 }, soon())), { messages: [] });
  const failed = await collect(client.Down({ text: 'fail', number: 2 }, soon()));
  assert.strictEqual(failed.messages.length, 2);
  assert.strictEqual(failed.error.code, status.ABORTED);
}

async function clientStream() {
  const sum = await new Promise((resolve, reject) => {
    const call = client.Up(soon(), (error, value) => (error ? reject(error) : resolve(value)));
    for (let number = 1; number <= 500; number++) call.write({ number });
    call.end();
  });
  assert.deepStrictEqual({ ...sum }, { count: '500', total: '125250' });
}

async function bothStreams() {
  const stream = client.Both(soon());
  const collected = collect(stream);
  for (let number = 1; number <= 200; number++) {
    stream.write({ text: 'ping', number });
    if (number % 10 === 0) await new Promise((resolve) => stream.once('data', resolve));
  }
  stream.end();
  assert.strictEqual((await collected).messages.length, 200);
}

async function cancelledStream() {
  const stream = client.Down({ number: '9223372036854775807' }, soon());
  stream.once('data', () => stream.cancel());
  assert.strictEqual((await collect(stream)).error.code, status.CANCELLED);
}

async function manyAtOnce() {
  const all = await Promise.all(Array.from({ length: 500 }, (_, number) => ask('Unary', { number })));
  all.forEach(({ value }, number) => assert.strictEqual(Number(value.number), number));
}

async function health() {
  const checker = new Health(server.address, insecure);
  const check = (service) => ask('Check', { service }, undefined, undefined, checker);
  assert.strictEqual((await check('')).value.status, 'SERVING');
  assert.strictEqual((await check('interop.v1.Echo')).value.status, 'SERVING');
  assert.strictEqual((await check('nobody.v1.Nothing')).error.code, status.NOT_FOUND);
  const watch = checker.Watch({ service: '' }, soon());
  const first = await new Promise((resolve, reject) => watch.once('data', resolve).on('error', reject));
  assert.strictEqual(first.status, 'SERVING');
  watch.removeAllListeners('error').on('error', () => {}).cancel();
  checker.close();
}

async function reflected(version) {
  assert((await reflection.services(version, server.address, insecure)).includes('interop.v1.Echo'));
  const definition = await reflection.packageDefinition(version, server.address, insecure, LOAD);
  const Reflected = grpc.loadPackageDefinition(definition).interop.v1.Echo;
  assert.strictEqual(Reflected.service.Both.requestStream && Reflected.service.Both.responseStream, true);
  const by = new Reflected(server.address, insecure);
  assert.strictEqual((await ask('Unary', { text: 'hallo', color: 'RED' }, undefined, undefined, by)).value.color, 'RED');
  by.close();
  const [unknown, file] = await reflection.ask(version, server.address, insecure,
    [{ file_containing_symbol: 'no.such.Thing' }, { file_by_filename: 'interop.proto' }]);
  assert.strictEqual(unknown.error_response.error_code, status.NOT_FOUND);
  assert.strictEqual(file.file_descriptor_response.file_descriptor_proto.length, 1);
}

/** Asks a server over TLS who we are; `name` is the client's certificate. */
async function askWho(address, ca, name) {
  const credentials = grpc.credentials.createSsl(pems.pem(`${ca}.pem`), name && pems.pem(`${name}.key`), name && pems.pem(`${name}.pem`));
  const by = new Echo(address.replace('127.0.0.1', 'localhost'), credentials);
  const answer = await ask('Unary', { text: 'who' }, undefined, undefined, by);
  by.close();
  return answer;
}

async function tls() {
  const secure = await child.start(serverProgram, [pems.file('interop-server.pem'), pems.file('interop-server.key')]);
  assert.strictEqual((await askWho(secure.address, 'ca')).value.text, 'nobody');
  assert.strictEqual((await askWho(secure.address, 'other-ca')).error.code, status.UNAVAILABLE);
  secure.process.stdin.end();
  await secure.ended;
}

async function mutualTls() {
  const secure = await child.start(serverProgram, [pems.file('interop-server.pem'), pems.file('interop-server.key'), pems.file('ca.pem')]);
  assert.strictEqual((await askWho(secure.address, 'ca', 'interop-client')).value.text, 'interop-client');
  assert.strictEqual((await askWho(secure.address, 'ca')).error.code, status.UNAVAILABLE);
  assert.strictEqual((await askWho(secure.address, 'ca', 'stranger')).error.code, status.UNAVAILABLE);
  secure.process.stdin.end();
  await secure.ended;
}

async function serverEnds() {
  client.close();
  server.process.stdin.end();
  const { code } = await within(20000, 'the end of the server', server.ended);
  assert.strictEqual(code, 0);
}

/** Runs the C client against a grpc-js server; its own cases say what is wrong. */
async function clientInC(credentials, args) {
  const { port, close } = await echo.serve(Echo.service, credentials);
  const code = await child.run(clientProgram, [`127.0.0.1:${port}`, ...args]);
  close();
  assert.strictEqual(code, 0, 'all cases of the C client pass');
}

function serverCredentials(isMutual) {
  return grpc.ServerCredentials.createSsl(isMutual ? pems.pem('ca.pem') : null,
    [{ private_key: pems.pem('interop-server.key'), cert_chain: pems.pem('interop-server.pem') }], isMutual);
}

test('the C server and the certificates', async () => {
  pems = certificates.make(child.directory);
  server = await child.start(serverProgram, []);
  client = new Echo(server.address, insecure);
});
test('js client: all kinds of fields', allFields);
test('js client: large messages', largeMessages);
test('js client: compressed messages, and one that is a bomb', compressed);
test('js client: a text that is not UTF-8', badText);
test('js client: status with details', statusWithDetails);
test('js client: metadata', metadata);
test('js client: deadline', deadlines);
test('js client: cancellation', cancellation);
test('js client: server stream', serverStream);
test('js client: client stream', clientStream);
test('js client: both streams', bothStreams);
test('js client: a cancelled stream', cancelledStream);
test('js client: many calls at once', manyAtOnce);
test('js client: health', health);
test('js client: reflection v1', () => reflected('v1'));
test('js client: reflection v1alpha', () => reflected('v1alpha'));
test('js client: TLS', tls);
test('js client: mutual TLS', mutualTls);
test('the C server ends cleanly', serverEnds);
test('C client', () => clientInC(grpc.ServerCredentials.createInsecure(), []));
test('C client: TLS', () => clientInC(serverCredentials(false), [pems.file('ca.pem')]));
test('C client: mutual TLS', () => clientInC(serverCredentials(true),
  [pems.file('ca.pem'), pems.file('interop-client.pem'), pems.file('interop-client.key')]));
runAll(child.cleanUp);
