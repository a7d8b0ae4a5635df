// SPDX-License-Identifier: Apache-2.0
//
// Tercet in JavaScript, from its .proto alone: calls that resolve to { code, text, value }, participants that attach, and
// participants that are called. A participant here keeps one row a branch, as its barrier would.
'use strict';

const grpc = require('@grpc/grpc-js');
const { within } = require('./cases');

const LOAD = { keepCase: true, enums: String, longs: Number, defaults: true };
const CALL_MS = 20000;

/** Clients of all the services at an address; `definition` is from loadSync or from reflection. */
class Coordinator {
  constructor(definition, address) {
    this.v1 = grpc.loadPackageDefinition(definition).tercet.v1;
    this.address = address;
    const credentials = grpc.credentials.createInsecure();
    this.options = { 'grpc.max_reconnect_backoff_ms': 200, 'grpc.initial_reconnect_backoff_ms': 50 };
    this.coordinator = new this.v1.Coordinator(address, credentials, this.options);
    this.participants = new this.v1.Participants(address, credentials, this.options);
    this.admin = new this.v1.Admin(address, credentials, this.options);
  }

  /** One unary call. Never rejects: { code, text } when it failed, { code: 0, value } otherwise. */
  static call(client, method, request) {
    return new Promise((resolve) => {
      client[method](request, { deadline: Date.now() + CALL_MS }, (error, value) =>
        resolve(error ? { code: error.code, text: error.details } : { code: 0, value }));
    });
  }

  ask(method, request) {
    return Coordinator.call(this.coordinator, method, request);
  }

  operate(method, request) {
    return Coordinator.call(this.admin, method, request);
  }

  /** Asks until there is an answer, as an initiator must when the connection breaks. */
  async askUntilAnswered(method, request) {
    for (;;) {
      const answer = await this.ask(method, request);
      if (answer.code !== grpc.status.UNAVAILABLE) return answer;
      await this.connected();
    }
  }

  connected() {
    return new Promise((resolve, reject) =>
      this.coordinator.waitForReady(Date.now() + CALL_MS, (error) => (error ? reject(error) : resolve())));
  }

  close() {
    this.coordinator.close();
    this.participants.close();
    this.admin.close();
  }
}

/** The rows of a participant and the log of the calls it got. `on` may answer a call in place of the row. */
class Rows {
  constructor(on) {
    this.on = on || (() => undefined);
    this.rows = new Map();
    this.calls = [];
    this.watchers = [];
  }

  /** Resolves to the call when one that fits has come, or comes. */
  seen(what, fits) {
    const found = this.calls.find(fits);
    if (found) return Promise.resolve(found);
    return within(CALL_MS, what, new Promise((resolve) => this.watchers.push({ fits, resolve })));
  }

  of(gid, kind) {
    return this.calls.filter((call) => call.gid === gid && (!kind || call.kind === kind));
  }

  row(gid, branch) {
    return this.rows.get(`${gid}#${branch}`);
  }

  /** What DESIGN's table of the barrier says; undefined: no answer at all. */
  execute(call) {
    this.calls.push(call);
    const given = this.on(call);
    const result = given !== undefined ? given : this.step(call);
    for (const watcher of this.watchers.filter((one) => one.fits(call))) watcher.resolve(call);
    this.watchers = this.watchers.filter((one) => !one.fits(call));
    return result;
  }

  step(call) {
    const key = `${call.gid}#${call.branch}`;
    const row = this.rows.get(key);
    if (call.kind === 'TRY' && row === 'cancelled') return { outcome: 'REFUSAL', reason: 'cancelled already' };
    if (call.kind === 'CONFIRM' && row === undefined) return { outcome: 'BROKEN', reason: 'no try seen' };
    if (call.kind === 'CONFIRM' && row === 'cancelled') return { outcome: 'BROKEN', reason: 'cancelled' };
    if (call.kind === 'CANCEL' && row === 'confirmed') return { outcome: 'BROKEN', reason: 'confirmed' };
    if (call.kind === 'TRY' && row === undefined) this.rows.set(key, 'tried');
    if (call.kind === 'CONFIRM') this.rows.set(key, 'confirmed');
    if (call.kind === 'CANCEL') this.rows.set(key, 'cancelled');
    return { outcome: 'DONE', reply: call.kind === 'TRY' ? Buffer.from(`reply ${call.branch}`) : Buffer.alloc(0) };
  }
}

/** An attached participant; attaches again when the connection breaks, until it is closed. */
class Attached {
  constructor(coordinator, service, actions, on) {
    this.coordinator = coordinator;
    this.hello = { service, actions, instance: `js ${process.pid}` };
    this.book = new Rows(on);
    this.isClosed = false;
    this.messages = [];
    this.whenAttached = new Promise((resolve) => { this.resolveAttached = resolve; });
    this.attach();
  }

  ready() {
    return within(CALL_MS, 'attached', this.whenAttached);
  }

  attach() {
    this.stream = this.coordinator.participants.Attach();
    this.stream.on('data', (message) => this.take(message));
    this.stream.on('error', () => this.again());
    this.stream.write({ hello: this.hello });
  }

  take(message) {
    if (message.accepted) this.resolveAttached();
    if (message.calls.length > 0) this.messages.push(message.calls.length);
    const results = [];
    for (const call of message.calls) {
      const result = this.book.execute(call);
      if (result && result.outcome) results.push({ id: call.id, ...result });
    }
    if (results.length > 0) this.stream.write({ results });
  }

  /** For a call that was not answered at once. */
  answer(call, result) {
    this.stream.write({ results: [{ id: call.id, ...result }] });
  }

  again() {
    if (this.isClosed) return;
    this.whenAttached = new Promise((resolve) => { this.resolveAttached = resolve; });
    this.coordinator.participants.waitForReady(Date.now() + CALL_MS, (error) => {
      if (!error) this.attach();
    });
  }

  close() {
    this.isClosed = true;
    this.stream.end();
  }
}

/** A participant that is called: a gRPC server with the service Participant. An `on` that returns { code } fails the call. */
class Called {
  constructor(v1, on) {
    this.book = new Rows(on);
    this.server = new grpc.Server();
    this.server.addService(v1.Participant.service, {
      Execute: (call, answer) => {
        const result = this.book.execute({ ...call.request, headers: call.metadata, leftMs: new Date(call.getDeadline()) - Date.now() });
        if (result.code) answer({ code: result.code, details: result.text });
        else answer(null, result);
      },
    });
  }

  listen() {
    return new Promise((resolve, reject) =>
      this.server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
        (error ? reject(error) : resolve(`dns:///127.0.0.1:${port}`))));
  }

  close() {
    this.server.forceShutdown();
  }
}

module.exports = { LOAD, Coordinator, Attached, Called };
