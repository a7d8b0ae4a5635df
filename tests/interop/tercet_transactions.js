// SPDX-License-Identifier: Apache-2.0
//
// Cases of tercet_interop.js: every unary method of the initiator, Watch, Session, and participants that attach.
'use strict';

const assert = require('assert');
const grpc = require('@grpc/grpc-js');
const { within } = require('./lib/cases');
const { Coordinator, Attached } = require('./lib/tercet');

const { status } = grpc;
const bytes = (text) => Buffer.from(text);
const branch = (action, payload, more) => ({ action, payload: bytes(payload), ...more });
const two = () => [branch('stock/reserve', 'a'), branch('stock/reserve', 'b')];

/** Payloads decide what this participant does: "no" refuses, "silent" never answers a try. */
function reserve(call) {
  const payload = call.payload.toString();
  if (call.kind === 'TRY' && payload === 'no') return { outcome: 'REFUSAL', reason: 'ausverkauft – 売り切れ' };
  if (call.kind === 'TRY' && payload === 'silent') return {};
  return undefined;
}

/** A case with a coordinator's client and an attached participant. */
function withStock(body) {
  return async (bench) => {
    const c = new Coordinator(bench.definition, bench.daemon.address);
    const stock = new Attached(c, 'stock', ['reserve', 'other'], reserve);
    try {
      await stock.ready();
      await body(c, stock);
    } finally {
      stock.close();
      c.close();
    }
  };
}

function isIn(answer, state) {
  assert.strictEqual(answer.code, 0, answer.text);
  assert.strictEqual(answer.value.state, state);
  return answer.value;
}

function fails(answer, code, text) {
  assert.strictEqual(answer.code, code, `${answer.code} ${answer.text}`);
  assert.match(answer.text, text);
}

async function runConfirms(c, stock) {
  const plan = { gid: 'run-1', branches: two(), wait: 'WAIT_RESOLVED',
    options: { metadata: [{ key: 'traceparent', value: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }] } };
  const done = isIn(await c.ask('Run', plan), 'CONFIRMED');
  assert.strictEqual(done.cause, 'ALL_TRIED');
  assert.deepStrictEqual(done.branches.map((one) => one.reply.toString()), ['reply 1', 'reply 2']);
  assert(done.created_ms > 0 && done.decided_ms >= done.created_ms && done.resolved_ms >= done.decided_ms);
  const calls = stock.book.of('run-1');
  assert.deepStrictEqual(calls.map((call) => call.kind).sort(), ['CONFIRM', 'CONFIRM', 'TRY', 'TRY']);
  for (const call of calls) {
    assert.strictEqual(call.action, 'stock/reserve');
    assert.strictEqual(call.metadata[0].key, 'traceparent');
    assert(call.number > 0 && call.low_water < call.number && call.timeout_ms > 0 && call.attempt === 1);
  }
  isIn(await c.ask('Run', plan), 'CONFIRMED');
  assert.strictEqual(stock.book.of('run-1').length, 4, 'the same plan again starts nothing');
  fails(await c.ask('Run', { ...plan, branches: [branch('stock/reserve', 'other')] }), status.ALREADY_EXISTS, /branch 1 has another payload/);
}

async function runIsRefused(c, stock) {
  const plan = { gid: 'run-2', branches: [branch('stock/reserve', 'a'), branch('stock/reserve', 'no')], wait: 'WAIT_RESOLVED' };
  const done = isIn(await c.ask('Run', plan), 'CANCELLED');
  assert.strictEqual(done.cause, 'REFUSED');
  assert.strictEqual(done.reason, 'ausverkauft – 売り切れ');
  assert.strictEqual(done.branches[1].try_state, 'TRY_REFUSED');
  assert.strictEqual(stock.book.of('run-2', 'CANCEL').length, 2, 'every branch is cancelled');
  assert.strictEqual(stock.book.of('run-2', 'CONFIRM').length, 0);
}

async function stepByStep(c, stock) {
  const begun = isIn(await c.ask('Begin', {}), 'TRYING');
  assert.match(begun.gid, /^[A-Za-z0-9._:-]{1,64}$/, 'the coordinator made a gid');
  for (const number of [1, 2]) {
    const tried = await c.ask('Try', { gid: begun.gid, branch: branch('stock/reserve', 'x', { number }) });
    assert.strictEqual(tried.value.outcome, 'TRY_DONE');
    assert.strictEqual(tried.value.reply.toString(), `reply ${number}`);
    assert.strictEqual(tried.value.branch, number);
  }
  assert.strictEqual((await c.ask('Get', { gid: begun.gid })).value.branches.length, 2);
  isIn(await c.ask('Confirm', { gid: begun.gid, wait: 'WAIT_RESOLVED' }), 'CONFIRMED');
  isIn(await c.ask('Confirm', { gid: begun.gid }), 'CONFIRMED');
  fails(await c.ask('Cancel', { gid: begun.gid }), status.FAILED_PRECONDITION, /decided/);
  assert.strictEqual(stock.book.row(begun.gid, 2), 'confirmed');
}

async function cancelByTheInitiator(c, stock) {
  const tried = await c.ask('Try', { gid: 'cancel-1', begin: {}, branch: branch('stock/reserve', 'x', { number: 7 }) });
  assert.strictEqual(tried.value.state, 'TRYING');
  const done = isIn(await c.ask('Cancel', { gid: 'cancel-1', reason: 'mir reicht’s', wait: 'WAIT_RESOLVED' }), 'CANCELLED');
  assert.strictEqual(done.cause, 'INITIATOR');
  assert.strictEqual(done.reason, 'mir reicht’s');
  assert.strictEqual(stock.book.row('cancel-1', 7), 'cancelled');
  fails(await c.ask('Confirm', { gid: 'cancel-1' }), status.FAILED_PRECONDITION, /decided/);
}

async function refusalThatIsKept(c, stock) {
  const begin = { options: { keep_on_refusal: true } };
  const refused = await c.ask('Try', { gid: 'keep-1', begin, branch: branch('stock/reserve', 'no', { number: 1 }) });
  assert.strictEqual(refused.value.outcome, 'TRY_REFUSED');
  assert.strictEqual(refused.value.reason, 'ausverkauft – 売り切れ');
  assert.strictEqual(refused.value.state, 'TRYING');
  await c.ask('Try', { gid: 'keep-1', branch: branch('stock/reserve', 'x', { number: 2 }) });
  const done = isIn(await c.ask('Confirm', { gid: 'keep-1', wait: 'WAIT_RESOLVED' }), 'CONFIRMED');
  assert.deepStrictEqual(done.branches.map((one) => one.owed), ['OWED_CANCEL', 'OWED_CONFIRM']);
  assert.strictEqual(stock.book.row('keep-1', 2), 'confirmed');
}

async function tryIsUnknown(c, stock) {
  const plan = { gid: 'unknown-1', wait: 'WAIT_RESOLVED',
    branches: [branch('stock/reserve', 'a'), branch('stock/reserve', 'silent', { try_timeout_ms: 300 })] };
  const done = isIn(await c.ask('Run', plan), 'CANCELLED');
  assert.strictEqual(done.cause, 'TRY_UNKNOWN');
  assert.strictEqual(done.branches[1].try_state, 'TRY_NOT_KNOWN');
  assert.strictEqual(stock.book.of('unknown-1', 'CANCEL').length, 2, 'an unknown try is cancelled too');
}

async function deadlinePasses(c, stock) {
  await c.ask('Try', { gid: 'late-1', begin: { options: { deadline_ms: 300 } }, branch: branch('stock/reserve', 'a', { number: 1 }) });
  const states = await watch(c, 'late-1');
  assert.strictEqual(states[0].state, 'TRYING');
  const last = states[states.length - 1];
  assert.strictEqual(last.state, 'CANCELLED');
  assert.strictEqual(last.cause, 'DEADLINE');
  assert.strictEqual(stock.book.row('late-1', 1), 'cancelled');
  fails(await c.ask('Confirm', { gid: 'late-1' }), status.FAILED_PRECONDITION, /decided/);
}

/** Everything that a Watch sends until it ends with OK. */
function watch(c, gid) {
  return new Promise((resolve, reject) => {
    const states = [];
    const stream = c.coordinator.Watch({ gid }, { deadline: Date.now() + 20000 });
    stream.on('data', (state) => states.push(state));
    stream.on('error', reject);
    stream.on('end', () => resolve(states));
  });
}

async function watchToTheEnd(c) {
  await c.ask('Try', { gid: 'watch-1', begin: {}, branch: branch('stock/reserve', 'a', { number: 1 }) });
  const watched = watch(c, 'watch-1');
  await c.ask('Confirm', { gid: 'watch-1', wait: 'WAIT_RESOLVED' });
  const states = (await watched).map((one) => one.state);
  const order = ['TRYING', 'CONFIRMING', 'CONFIRMED'];
  assert.strictEqual(states[states.length - 1], 'CONFIRMED');
  assert(states.every((state, i) => i === 0 || order.indexOf(state) >= order.indexOf(states[i - 1])), states.join());
  assert.deepStrictEqual((await watch(c, 'watch-1')).map((one) => one.state), ['CONFIRMED'], 'one that is over');
  await assert.rejects(watch(c, 'nobody'), (error) => error.code === status.NOT_FOUND);
}

async function awaited(c) {
  await c.ask('Try', { gid: 'await-1', begin: {}, branch: branch('stock/reserve', 'a', { number: 1 }) });
  const decided = c.ask('Await', { gid: 'await-1' });
  const resolved = c.ask('Await', { gid: 'await-1', wait: 'WAIT_RESOLVED' });
  assert.strictEqual((await c.ask('Await', { gid: 'await-1', wait: 'WAIT_NOT' })).value.state, 'TRYING');
  await c.ask('Confirm', { gid: 'await-1' });
  assert(['CONFIRMING', 'CONFIRMED'].includes((await decided).value.state));
  assert.strictEqual((await resolved).value.state, 'CONFIRMED');
  assert.strictEqual((await c.ask('Await', { gid: 'await-1' })).value.state, 'CONFIRMED', 'one that is over');
  fails(await c.ask('Await', { gid: 'nobody' }), status.NOT_FOUND, /no transaction/);
}

async function session(c) {
  const stream = c.coordinator.Session({ deadline: Date.now() + 20000 });
  const answers = new Map();
  const all = new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('data', (message) => {
      for (const response of message.responses) answers.set(response.id, response);
      if (answers.size === 25) resolve();
    });
  });
  const runs = Array.from({ length: 20 }, (_, i) => ({ id: i + 1, run: { gid: `session-${i}`, branches: two(), wait: 'WAIT_RESOLVED' } }));
  stream.write({ requests: [...runs, { id: 100, get: { gid: 'nobody' } }, { id: 101, begin: { gid: 'session-step' } },
    { id: 102, try_branch: { gid: 'session-step', branch: branch('stock/reserve', 'no', { number: 1 }) } }, { id: 103 },
    { id: 104, await_state: { gid: 'session-19', wait: 'WAIT_RESOLVED' } }] });
  await within(20000, 'all answers', all);
  const ended = new Promise((resolve) => stream.on('end', resolve));
  stream.end();
  await ended;
  for (let id = 1; id <= 20; id++) assert.strictEqual(answers.get(id).transaction.state, 'CONFIRMED');
  assert.strictEqual(answers.get(100).code, status.NOT_FOUND);
  assert.strictEqual(answers.get(101).transaction.gid, 'session-step');
  assert.strictEqual(answers.get(102).tried.outcome, 'TRY_REFUSED');
  assert.strictEqual(answers.get(103).code, status.INVALID_ARGUMENT);
  assert.strictEqual(answers.get(104).transaction.state, 'CONFIRMED');
  isIn(await c.ask('Get', { gid: 'session-19' }), 'CONFIRMED');
}

async function manyInOneMessage(c, stock) {
  const branches = Array.from({ length: 64 }, (_, i) => branch('stock/reserve', `p${i}`));
  stock.messages = [];
  isIn(await c.ask('Run', { gid: 'many-1', branches, wait: 'WAIT_RESOLVED' }), 'CONFIRMED');
  assert(Math.max(...stock.messages) > 1, `calls a message: ${stock.messages}`);
  assert.strictEqual(stock.book.of('many-1', 'CONFIRM').length, 64);
}

async function ordered(c, stock) {
  const branches = [3, 1, 2].map((number) => branch('stock/reserve', 'x', { number }));
  isIn(await c.ask('Run', { gid: 'ordered-1', branches, options: { ordered: true }, wait: 'WAIT_RESOLVED' }), 'CONFIRMED');
  assert.deepStrictEqual(stock.book.of('ordered-1', 'TRY').map((call) => call.branch), [1, 2, 3]);
}

async function answers(c) {
  fails(await c.ask('Get', { gid: 'nobody' }), status.NOT_FOUND, /gid/);
  fails(await c.ask('Get', { gid: 'bad gid' }), status.INVALID_ARGUMENT, /characters/);
  fails(await c.ask('Run', { gid: 'answers-1', branches: [branch('stock/nothing', 'x')] }), status.INVALID_ARGUMENT, /does not offer/);
  fails(await c.ask('Run', { gid: 'answers-2' }), status.INVALID_ARGUMENT, /no branches/);
}

async function participantThatComesLater(bench) {
  const c = new Coordinator(bench.definition, bench.daemon.address);
  const plan = { gid: 'later-1', branches: [branch('later/do', 'x')], wait: 'WAIT_NOT' };
  isIn(await c.ask('Run', plan), 'TRYING');
  const later = new Attached(c, 'later', ['do']);
  isIn(await c.ask('Run', { ...plan, wait: 'WAIT_RESOLVED' }), 'CONFIRMED');
  later.close();
  c.close();
}

function cases(add) {
  add('run confirms, and again is the same', withStock(runConfirms));
  add('run is refused', withStock(runIsRefused));
  add('begin, try, confirm', withStock(stepByStep));
  add('cancel by the initiator', withStock(cancelByTheInitiator));
  add('a refusal that is kept', withStock(refusalThatIsKept));
  add('a try without an answer', withStock(tryIsUnknown));
  add('the deadline passes', withStock(deadlinePasses));
  add('watch', withStock(watchToTheEnd));
  add('await', withStock(awaited));
  add('session', withStock(session));
  add('attach with many records a message', withStock(manyInOneMessage));
  add('ordered tries', withStock(ordered));
  add('errors', withStock(answers));
  add('a participant that comes later', participantThatComesLater);
}

module.exports = { cases };
