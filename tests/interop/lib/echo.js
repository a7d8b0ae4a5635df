// SPDX-License-Identifier: Apache-2.0
//
// The Echo server of interop.proto in JavaScript.
'use strict';

const grpc = require('@grpc/grpc-js');
const { HealthImplementation } = require('grpc-health-check');

/** The calls of "hold" that have ended, and those who wait to hear of it. */
class Held {
  constructor() {
    this.ended = 0;
    this.waiters = [];
  }

  tell() {
    for (const { number, answer } of this.waiters.filter((one) => one.number <= this.ended)) answer(null, { number: this.ended });
    this.waiters = this.waiters.filter((one) => one.number > this.ended);
  }

  hold(call) {
    call.on('cancelled', () => {
      this.ended++;
      this.tell();
    });
  }

  wait(number, answer) {
    this.waiters.push({ number, answer });
    this.tell();
  }
}

function fail(answer) {
  const metadata = new grpc.Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from([0, 1, 2, 255]));
  answer({ code: grpc.status.FAILED_PRECONDITION, details: 'nicht möglich: 100 %', metadata });
}

function sendMetaBack(call, answer) {
  const back = new grpc.Metadata();
  for (const key of ['x-text', 'x-raw-bin']) for (const value of call.metadata.get(key)) back.add(key, value);
  call.sendMetadata(back);
  answer(null, call.request, back);
}

function who(call, answer) {
  const peer = call.getAuthContext().sslPeerCertificate;
  answer(null, { text: peer && peer.subject ? peer.subject.CN : 'nobody' });
}

function unary(held) {
  return (call, answer) => {
    const { text, number } = call.request;
    if (text === 'fail') fail(answer);
    else if (text === 'meta') sendMetaBack(call, answer);
    else if (text === 'hold') held.hold(call);
    else if (text === 'held') held.wait(number, answer);
    else if (text === 'left') answer(null, { number: call.getDeadline() - Date.now() });
    else if (text === 'who') who(call, answer);
    else answer(null, call.request);
  };
}

function down(call) {
  const { text, number } = call.request;
  let next = 1;
  const go = () => {
    while (next <= number && !call.cancelled) if (!call.write({ number: next++ })) return call.once('drain', go);
    if (text === 'fail') return call.emit('error', { code: grpc.status.ABORTED, details: 'as asked' });
    return call.end();
  };
  go();
}

function up(call, answer) {
  const sum = { count: 0, total: 0 };
  call.on('data', (note) => {
    sum.count++;
    sum.total += Number(note.number);
  });
  call.on('end', () => answer(null, sum));
}

function both(call) {
  call.on('data', (note) => call.write(note));
  call.on('end', () => call.end());
}

/** Serves it; resolves to { port, close }. */
function serve(service, credentials) {
  const held = new Held();
  const server = new grpc.Server({ 'grpc.max_receive_message_length': 8 << 20 });
  server.addService(service, { Unary: unary(held), Down: down, Up: up, Both: both });
  new HealthImplementation({ '': 'SERVING', 'interop.v1.Echo': 'NOT_SERVING' }).addToServer(server);
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
      if (error) reject(error);
      else resolve({ port, close: () => server.forceShutdown() });
    });
  });
}

module.exports = { serve };
