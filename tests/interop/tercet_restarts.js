// SPDX-License-Identifier: Apache-2.0
//
// Cases of tercet_interop.js: tercetd is killed in the middle and started again; what was begun ends right, once.
'use strict';

const assert = require('assert');
const grpc = require('@grpc/grpc-js');
const { Coordinator, Attached, Called } = require('./lib/tercet');

const branch = (action, payload, more) => ({ action, payload: Buffer.from(payload), ...more });

/** Withholds the first answer to a kind of call for a gid, as if the connection broke before. */
function withholdFirst(gid, kind, branchNumber) {
  let isWithheld = false;
  return (call) => {
    if (isWithheld || call.gid !== gid || call.kind !== kind || call.branch !== branchNumber) return undefined;
    isWithheld = true;
    return {};
  };
}

/** Kills tercetd while branch 2 of a Run has no answer to its call of this kind. */
async function killedIn(bench, gid, kind, payload, expected) {
  const c = new Coordinator(bench.definition, bench.daemon.address);
  const withhold = withholdFirst(gid, kind, 2);
  const stock = new Attached(c, 'stock', ['reserve'], (call) => {
    if (call.kind === 'TRY' && call.payload.toString() === 'no') return { outcome: 'REFUSAL', reason: 'none left' };
    return withhold(call);
  });
  await stock.ready();
  const plan = { gid, branches: [branch('stock/reserve', 'a'), branch('stock/reserve', 'b'), branch('stock/reserve', payload)],
    wait: 'WAIT_RESOLVED' };
  const answered = c.askUntilAnswered('Run', plan);
  await stock.book.seen(`${kind} of branch 2`, (call) => call.gid === gid && call.kind === kind && call.branch === 2);
  await bench.daemon.again('SIGKILL');
  const answer = await answered;
  assert.strictEqual(answer.code, 0, answer.text);
  assert.strictEqual(answer.value.state, expected);
  assert.strictEqual((await c.ask('Get', { gid })).value.state, expected);
  const row = expected === 'CONFIRMED' ? 'confirmed' : 'cancelled';
  for (const number of [1, 2, 3]) assert.strictEqual(stock.book.row(gid, number), row);
  const wrong = expected === 'CONFIRMED' ? 'CANCEL' : 'CONFIRM';
  assert.strictEqual(stock.book.of(gid, wrong).length, 0);
  stock.close();
  c.close();
}

async function stepByStep(bench) {
  const c = new Coordinator(bench.definition, bench.daemon.address);
  const stock = new Attached(c, 'stock', ['reserve']);
  await stock.ready();
  const gid = 'killed-step';
  await c.ask('Try', { gid, begin: {}, branch: branch('stock/reserve', 'a', { number: 1 }) });
  await bench.daemon.again('SIGKILL');
  await c.connected();
  const tried = await c.askUntilAnswered('Try', { gid, branch: branch('stock/reserve', 'a', { number: 1 }) });
  assert.strictEqual(tried.value.outcome, 'TRY_DONE', tried.text);
  assert.strictEqual(tried.value.reply.toString(), 'reply 1');
  const done = await c.askUntilAnswered('Confirm', { gid, wait: 'WAIT_RESOLVED' });
  assert.strictEqual(done.value.state, 'CONFIRMED', done.text);
  assert.strictEqual(stock.book.row(gid, 1), 'confirmed');
  stock.close();
  c.close();
}

async function registrationIsKept(bench) {
  const c = new Coordinator(bench.definition, bench.daemon.address);
  const called = new Called(c.v1);
  const target = await called.listen();
  await Coordinator.call(c.participants, 'RegisterTarget', { service: 'kept', actions: ['do'], target });
  await bench.daemon.again('SIGKILL');
  const plan = { gid: 'kept-1', branches: [branch('kept/do', 'x')], wait: 'WAIT_RESOLVED' };
  const answer = await c.askUntilAnswered('Run', plan);
  assert.strictEqual(answer.value.state, 'CONFIRMED', answer.text);
  await Coordinator.call(c.participants, 'RegisterTarget', { service: 'kept' });
  called.close();
  c.close();
}

async function nothingIsLost(bench) {
  const c = new Coordinator(bench.definition, bench.daemon.address);
  const counted = async () => (await c.operate('GetStatistics', {})).value;
  const before = await counted();
  await bench.daemon.again('SIGTERM');
  await c.connected();
  const after = await counted();
  assert.strictEqual(after.resolved_records, before.resolved_records);
  assert.strictEqual(after.trying + after.confirming + after.cancelling, 0);
  const again = await c.ask('Run', { gid: 'killed-try', branches: ['a', 'b', 'c'].map((p) => branch('stock/reserve', p)) });
  assert.strictEqual(again.value.state, 'CONFIRMED', 'a gid that has ended is not begun again');
  const other = await c.ask('Run', { gid: 'killed-try', branches: [branch('stock/reserve', 'other')] });
  assert.strictEqual(other.code, grpc.status.ALREADY_EXISTS);
  c.close();
}

function cases(add) {
  add('killed while trying', (bench) => killedIn(bench, 'killed-try', 'TRY', 'c', 'CONFIRMED'));
  add('killed while confirming', (bench) => killedIn(bench, 'killed-confirm', 'CONFIRM', 'c', 'CONFIRMED'));
  add('killed while cancelling', (bench) => killedIn(bench, 'killed-cancel', 'CANCEL', 'no', 'CANCELLED'));
  add('killed between the steps', stepByStep);
  add('a registration is kept', registrationIsKept);
  add('a restart keeps all', nothingIsLost);
}

module.exports = { cases };
