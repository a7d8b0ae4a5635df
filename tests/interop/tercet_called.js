// SPDX-License-Identifier: Apache-2.0
//
// Cases of tercet_interop.js: participants that are called, the initiator's own calls, and the operator's methods.
'use strict';

const assert = require('assert');
const grpc = require('@grpc/grpc-js');
const { Coordinator, Attached, Called } = require('./lib/tercet');

const { status } = grpc;
const branch = (action, payload, more) => ({ action, payload: Buffer.from(payload), ...more });

/** What a payload makes the called participant do; the gRPC status is what a foreign implementation would answer. */
function pay(call) {
  const payload = call.payload.toString();
  if (payload === 'aborted' && call.kind === 'TRY') return { code: status.ABORTED, text: 'nicht gedeckt €' };
  if (payload === 'flaky' && call.attempt < 3) return { code: status.UNAVAILABLE, text: 'not now' };
  if (payload === 'odd' && call.attempt < 2) return { code: status.INTERNAL, text: 'what?' };
  if (payload === 'broken' && call.kind === 'CONFIRM') return { code: status.FAILED_PRECONDITION, text: 'never tried' };
  if (payload === 'dead' && call.kind === 'CONFIRM') return { code: status.UNKNOWN, text: 'the disk is on fire' };
  return undefined;
}

/** A case with a registered participant "pay". */
function withPay(body) {
  return async (bench) => {
    const c = new Coordinator(bench.definition, bench.daemon.address);
    const called = new Called(c.v1, pay);
    const target = await called.listen();
    const register = (request) => Coordinator.call(c.participants, 'RegisterTarget', request);
    try {
      assert.strictEqual((await register({ service: 'pay', actions: ['debit'], target })).code, 0);
      await body(c, called);
      assert.strictEqual((await register({ service: 'pay' })).code, 0, 'no longer registered');
    } finally {
      called.close();
      c.close();
    }
  };
}

async function run(c, gid, payload, state) {
  const answer = await c.ask('Run', { gid, branches: [branch('pay/debit', payload)], wait: 'WAIT_RESOLVED' });
  assert.strictEqual(answer.code, 0, answer.text);
  assert.strictEqual(answer.value.state, state);
  return answer.value;
}

async function statuses(c, called) {
  const done = await run(c, 'called-1', 'plain', 'CONFIRMED');
  assert.strictEqual(done.branches[0].reply.toString(), 'reply 1');
  const refused = await run(c, 'called-2', 'aborted', 'CANCELLED');
  assert.strictEqual(refused.cause, 'REFUSED');
  assert.strictEqual(refused.reason, 'nicht gedeckt €');
  await run(c, 'called-3', 'flaky', 'CONFIRMED');
  assert.deepStrictEqual(called.book.of('called-3').map((call) => `${call.kind} ${call.attempt}`),
    ['TRY 1', 'TRY 2', 'TRY 3', 'CONFIRM 1', 'CONFIRM 2', 'CONFIRM 3']);
  await run(c, 'called-4', 'odd', 'CONFIRMED');
  await hasTheTrysOwnTime(c, called);
}

/** Much longer than the coordinator's --call-timeout, which confirms have. gRPC's C core rounds a deadline up to be sent in few digits. */
async function hasTheTrysOwnTime(c, called) {
  const answer = await c.ask('Run', { gid: 'called-5', branches: [{ ...branch('pay/debit', 'plain'), try_timeout_ms: 50000 }], wait: 'WAIT_RESOLVED' });
  assert.strictEqual(answer.value.state, 'CONFIRMED', answer.text);
  const [tried, confirmed] = called.book.of('called-5');
  for (const call of [tried, confirmed]) assert.strictEqual(String(call.id), '0');
  assert.ok(tried.leftMs > 20000 && tried.leftMs <= 51000, `a try has ${tried.leftMs} ms`);
  assert.ok(confirmed.leftMs > 0 && confirmed.leftMs < 20000, `a confirm has ${confirmed.leftMs} ms`);
}

/** Asks again until the answer fits; what no Watch tells of. */
async function eventually(ask, fits) {
  for (const limit = Date.now() + 20000; Date.now() < limit;) {
    const answer = await ask();
    if (fits(answer)) return answer;
  }
  throw new Error('it did not come');
}

/** The transaction when it is as `fits` wants; Watch tells of every change of its state. */
function until(c, gid, fits) {
  return new Promise((resolve, reject) => {
    const stream = c.coordinator.Watch({ gid }, { deadline: Date.now() + 20000 });
    stream.on('error', reject);
    stream.on('data', (state) => {
      if (!fits(state)) return;
      stream.removeAllListeners('error');
      stream.on('error', () => {});
      stream.cancel();
      resolve(state);
    });
  });
}

async function parkedIsSettled(c) {
  await c.ask('Run', { gid: 'park-1', branches: [branch('pay/debit', 'broken')] });
  const listed = await eventually(() => c.operate('List', { parked: true }), (answer) => answer.value.transactions.length > 0);
  assert.strictEqual(listed.value.transactions[0].gid, 'park-1');
  const parked = await c.operate('Show', { gid: 'park-1' });
  assert.strictEqual(parked.value.branches[0].broken, true);
  assert.match(parked.value.branches[0].last_error, /never tried/);
  assert.strictEqual((await c.operate('Settle', { gid: 'park-1', branch: 1 })).code, status.INVALID_ARGUMENT);
  const settled = await c.operate('Settle', { gid: 'park-1', branch: 1, reason: 'booked by hand' });
  assert.strictEqual(settled.code, 0, settled.text);
  assert.strictEqual((await c.ask('Get', { gid: 'park-1' })).value.state, 'CONFIRMED');
}

async function ownCalls(c, called) {
  const enlisted = await c.ask('Enlist', { gid: 'own-1', begin: {}, branch: branch('pay/debit', 'mine', { number: 4 }) });
  assert.strictEqual(enlisted.value.branches[0].try_state, 'TRY_OWN');
  const participant = new c.v1.Participant(await called.listen(), grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set('tercet-gid', 'own-1');
  metadata.set('tercet-branch', '4');
  metadata.set('tercet-number', String(enlisted.value.number));
  const call = { kind: 'TRY', gid: 'own-1', branch: 4, action: 'pay/debit', payload: Buffer.from('mine'), number: enlisted.value.number };
  const tried = await new Promise((resolve, reject) =>
    participant.Execute(call, metadata, { deadline: Date.now() + 10000 }, (error, value) => (error ? reject(error) : resolve(value))));
  participant.close();
  assert.strictEqual(tried.outcome, 'DONE');
  assert.strictEqual(called.book.of('own-1', 'TRY')[0].headers.get('tercet-number')[0], String(enlisted.value.number));
  const done = await c.ask('Confirm', { gid: 'own-1', wait: 'WAIT_RESOLVED' });
  assert.strictEqual(done.value.state, 'CONFIRMED', done.text);
  assert.strictEqual(called.book.row('own-1', 4), 'confirmed');
  assert.strictEqual(called.book.of('own-1', 'TRY').length, 1, 'the coordinator called no try');
}

async function operators(c, called) {
  const statistics = (await c.operate('GetStatistics', {})).value;
  assert(statistics.accepting && statistics.begun_total > 0 && statistics.commits_total > 0 && statistics.version !== '');
  const pay = (await c.operate('ListParticipants', {})).value.participants.find((one) => one.service === 'pay');
  assert.deepStrictEqual(pay.actions, ['debit']);
  assert.match(pay.target, /^dns:\/\/\/127\.0\.0\.1:/);
  assert.strictEqual((await c.operate('Pause', { service: 'pay', paused: true })).code, 0);
  await c.ask('Run', { gid: 'paused-1', branches: [branch('pay/debit', 'x')], wait: 'WAIT_NOT' });
  const open = (await c.operate('List', { service: 'pay', states: ['TRYING'] })).value.transactions;
  assert.deepStrictEqual(open.map((one) => one.gid), ['paused-1']);
  assert.strictEqual(called.book.of('paused-1').length, 0);
  assert.strictEqual((await c.operate('Pause', { service: 'pay', paused: false })).code, 0);
  await until(c, 'paused-1', (state) => state.state === 'CONFIRMED');
}

async function operatorDecides(c) {
  await c.ask('Try', { gid: 'decide-1', begin: {}, branch: branch('pay/debit', 'x', { number: 1 }) });
  assert.strictEqual((await c.operate('Decide', { gid: 'decide-1', reason: 'stuck' })).code, 0);
  const done = await until(c, 'decide-1', (state) => state.state === 'CANCELLED');
  assert.strictEqual(done.cause, 'OPERATOR');
  assert.strictEqual(done.reason, 'stuck');
}

async function retryNow(c, called) {
  await c.ask('Run', { gid: 'dead-1', branches: [branch('pay/debit', 'dead')], options: { park_after_failures: 1, retry_base_ms: 3600000,
    retry_cap_ms: 3600000 } });
  const show = () => c.operate('Show', { gid: 'dead-1' });
  await eventually(show, (answer) => answer.value.parked);
  const calls = called.book.of('dead-1', 'CONFIRM').length;
  assert.strictEqual((await c.operate('Retry', { gid: 'dead-1' })).code, 0);
  await called.book.seen('another call, long before its time', () => called.book.of('dead-1', 'CONFIRM').length > calls);
  await eventually(show, (answer) => answer.value.branches[0].end_state === 'END_WAITING');
  assert.strictEqual((await c.operate('Settle', { gid: 'dead-1', branch: 1, reason: 'end of the test' })).code, 0);
}

async function pages(c) {
  const seen = [];
  let token = '';
  do {
    const page = (await c.operate('List', { resolved: true, page_size: 5, page_token: token })).value;
    assert(page.transactions.length <= 5);
    seen.push(...page.transactions.map((one) => one.gid));
    token = page.next_page_token;
  } while (token !== '');
  assert.strictEqual(new Set(seen).size, seen.length, 'each once');
  assert(seen.includes('called-1') && seen.includes('own-1') && seen.includes('session-7'));
  assert.strictEqual((await c.operate('List', { page_token: 'nonsense' })).code, status.INVALID_ARGUMENT);
}

async function leave(bench) {
  const c = new Coordinator(bench.definition, bench.daemon.address);
  const gone = new Attached(c, 'gone', ['do']);
  await gone.ready();
  gone.close();
  await eventually(() => c.operate('ListParticipants', {}),
    (answer) => answer.value.participants.every((one) => one.service !== 'gone'));
  c.close();
}

function cases(add) {
  add('a called participant and its status codes', withPay(statuses));
  add('a broken promise is parked and settled', withPay(parkedIsSettled));
  add('own calls', withPay(ownCalls));
  add('operators: statistics, participants, pause, list', withPay(operators));
  add('operators: decide', withPay(operatorDecides));
  add('operators: retry now', withPay(retryNow));
  add('operators: pages', withPay(pages));
  add('an instance that leaves', leave);
}

module.exports = { cases };
