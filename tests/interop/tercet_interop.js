// SPDX-License-Identifier: Apache-2.0
//
// Transactions against a real tercetd by clients and participants in JavaScript, which have the .proto and nothing else; then all of
// it once more by clients that have only what the server's reflection tells.
//
//   node tercet_interop.js TERCETD PROTO_DIRECTORY
'use strict';

const assert = require('assert');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const { test, runAll } = require('./lib/cases');
const child = require('./lib/child');
const reflection = require('./lib/reflection');
const { LOAD } = require('./lib/tercet');
const transactions = require('./tercet_transactions');
const called = require('./tercet_called');
const restarts = require('./tercet_restarts');

const [tercetd, protos] = process.argv.slice(2);

/** A tercetd with short time limits; `again` starts it anew on the same store and port. */
class Daemon {
  constructor(name) {
    this.data = path.join(child.directory, name);
    this.listen = '127.0.0.1:0';
  }

  async start() {
    this.child = await child.start(tercetd, ['--data', this.data, '--listen', this.listen, '--quiet', '--call-timeout', '2s',
      '--retry-base', '20ms', '--retry-cap', '200ms', '--park-after-failures', '8']);
    this.listen = this.address = this.child.address;
  }

  async again(signal) {
    await child.stop(this.child, signal);
    await this.start();
  }

  async stop() {
    const { code } = await child.stop(this.child, 'SIGTERM');
    assert.strictEqual(code, 0, 'tercetd ends with 0 on SIGTERM');
  }
}

function fromProto() {
  return loader.loadSync(path.join(protos, 'tercet/v1/tercet.proto'), LOAD);
}

function fromReflection(address) {
  return reflection.packageDefinition('v1', address, grpc.credentials.createInsecure(), LOAD);
}

for (const [source, define] of [['proto', fromProto], ['reflection', fromReflection]]) {
  const daemon = new Daemon(source);
  const bench = { daemon };
  test(`${source}: a client is made`, async () => {
    await daemon.start();
    bench.definition = await define(daemon.address);
  });
  for (const part of [transactions, called, restarts]) part.cases((name, body) => test(`${source}: ${name}`, () => body(bench)));
  test(`${source}: tercetd stops cleanly`, () => daemon.stop());
}
runAll(child.cleanUp);
