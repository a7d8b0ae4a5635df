// SPDX-License-Identifier: Apache-2.0
//
// Earlier versions' stores, clients and participants go on working: a store of fixtures/kept (fixtures/make.js made them), and clients and
// participants that have the .proto of the first.
//
//   node tercet_kept.js TERCETD PROTO_DIRECTORY STORE
'use strict';

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { spawn } = require('child_process');
const zlib = require('zlib');
const loader = require('@grpc/proto-loader');
const { test, runAll } = require('./lib/cases');
const child = require('./lib/child');
const { LOAD, Coordinator, Attached } = require('./lib/tercet');

const [tercetd, protos, store] = process.argv.slice(2);
const data = path.join(child.directory, 'kept');
const branch = (payload) => ({ action: 'stock/reserve', payload: Buffer.from(payload) });
const bench = {};

async function start(listen) {
  bench.daemon = await child.start(tercetd, ['--data', data, '--listen', listen, '--quiet', '--call-timeout', '2s', '--retry-base', '20ms',
    '--retry-cap', '200ms']);
  const old = loader.loadSync(path.join(__dirname, 'fixtures/proto/tercet/v1/tercet.proto'), LOAD);
  const current = loader.loadSync(path.join(protos, 'tercet/v1/tercet.proto'), { ...LOAD, longs: String });
  bench.old = new Coordinator(old, bench.daemon.address);
  bench.current = new Coordinator(current, bench.daemon.address);
}

async function stop(signal) {
  bench.old.close();
  bench.current.close();
  await child.stop(bench.daemon, signal);
}

async function get(gid) {
  const answer = await bench.old.ask('Get', { gid });
  assert.strictEqual(answer.code, 0, `${gid}: ${answer.text}`);
  return answer.value;
}

async function is(gid, state) {
  assert.strictEqual((await get(gid)).state, state, gid);
}

async function becomes(gid, state) {
  const answer = await bench.old.ask('Await', { gid, wait: 'WAIT_RESOLVED' });
  assert.strictEqual(answer.code, 0, `${gid}: ${answer.text}`);
  assert.strictEqual(answer.value.state, state, gid);
}

async function source() {
  const answer = await bench.current.operate('GetStatistics', {});
  assert.strictEqual(answer.code, 0, answer.text);
  return answer.value.source;
}

test('kept: the old store is opened', async () => {
  fs.mkdirSync(data);
  fs.writeFileSync(path.join(data, 'data.mdb'), zlib.gunzipSync(fs.readFileSync(path.join(__dirname, 'fixtures/kept', store))));
});

/* However far it came: the next start goes on from there. */
test('kept: an upgrade that is killed is started again', async () => {
  for (let ms = 0; ms < 60; ms += 6) {
    const killed = spawn(tercetd, ['--data', data, '--listen', '127.0.0.1:0', '--quiet'], { stdio: 'ignore' });
    const ended = new Promise((resolve) => killed.once('exit', resolve));
    await new Promise((resolve) => setTimeout(resolve, ms));
    killed.kill('SIGKILL');
    await ended;
  }
  await start('127.0.0.1:0');
});

test('kept: what had ended is known', async () => {
  const confirmed = await get('old-confirmed');
  assert.strictEqual(confirmed.state, 'CONFIRMED');
  assert.deepStrictEqual(confirmed.branches.map((one) => one.reply.toString()), ['reply 1', 'reply 2']);
  const cancelled = await get('old-cancelled');
  assert.strictEqual(cancelled.state, 'CANCELLED');
  assert.strictEqual(cancelled.reason, 'sold out');
  const again = await bench.old.ask('Run', { gid: 'old-confirmed', branches: [branch('a'), branch('b')], wait: 'WAIT_RESOLVED' });
  assert.strictEqual(again.value.number, confirmed.number, 'the same Run again is the same transaction');
  const other = await bench.old.ask('Run', { gid: 'old-confirmed', branches: [branch('c')], wait: 'WAIT_RESOLVED' });
  assert.strictEqual(other.code, 6, 'other content is refused');
});

test('kept: what had not ended is as it was', async () => {
  await is('old-begun', 'TRYING');
  await is('old-confirming-stuck', 'CONFIRMING');
  await is('old-cancelling-stuck', 'CANCELLING');
  const trying = await get('old-trying');
  assert.strictEqual(trying.state, 'TRYING');
  assert.deepStrictEqual(trying.branches.map((one) => [one.number, one.try_state]), [[1, 'TRY_DONE'], [2, 'TRY_OWN']]);
  const parked = await bench.old.operate('List', { parked: true });
  assert.deepStrictEqual(parked.value.transactions.map((one) => one.gid), ['old-parked']);
  const bank = await bench.old.operate('ListParticipants', {});
  assert(JSON.stringify(bank.value).includes('127.0.0.1:1'), 'the registered target is known');
});

test('kept: an old participant brings it to its end', async () => {
  bench.stock = new Attached(bench.old, 'stock', ['reserve'], (call) => (call.kind === 'TRY' ? undefined : { outcome: 'DONE' }));
  await bench.stock.ready();
  await becomes('old-confirming-stuck', 'CONFIRMED');
  await becomes('old-cancelling-stuck', 'CANCELLED');
  assert.strictEqual(bench.stock.book.of('old-confirming-stuck', 'CANCEL').length, 0);
  assert.strictEqual(bench.stock.book.of('old-cancelling-stuck', 'CONFIRM').length, 0);
  const cancel = await bench.old.ask('Cancel', { gid: 'old-begun' });
  assert.strictEqual(cancel.code, 0, cancel.text);
  const settled = await bench.old.operate('Settle', { gid: 'old-trying', branch: 2, reason: 'a test' });
  assert.notStrictEqual(settled.code, 0, 'only what is parked is settled');
  await bench.old.operate('Decide', { gid: 'old-trying', confirm: false });
  await bench.stock.book.seen('the cancel', (call) => call.gid === 'old-trying' && call.kind === 'CANCEL');
  const payload = bench.stock.book.of('old-trying', 'CANCEL')[0].payload.toString();
  assert.strictEqual(payload, 'kept payload');
  await bench.old.operate('Settle', { gid: 'old-parked', branch: 1, reason: 'a test' });
  await becomes('old-parked', 'CONFIRMED');
  const fresh = await bench.old.ask('Run', { gid: 'new', branches: [branch('a')], wait: 'WAIT_RESOLVED' });
  assert.strictEqual(fresh.value.state, 'CONFIRMED', fresh.text);
  assert(fresh.value.number > (await get('old-parked')).number, 'numbers go on above the old ones');
  bench.stock.close();
});

test('kept: it has got an identity, and keeps it', async () => {
  const first = await source();
  assert.notStrictEqual(first, '0');
  await stop('SIGKILL');
  await start('127.0.0.1:0');
  assert.strictEqual(await source(), first);
  await is('old-confirmed', 'CONFIRMED');
  await is('old-parked', 'CONFIRMED');
  await is('new', 'CONFIRMED');
  await stop('SIGTERM');
});

runAll(child.cleanUp);
