// SPDX-License-Identifier: Apache-2.0
//
// Child processes that say "ready ADDRESS" when they serve, and a temporary directory that is removed at the end.
'use strict';

const { spawn } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { within } = require('./cases');

const READY_MS = 30000;
const running = new Set();

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'interop-'));

/** Starts a program and resolves to { process, address, ended } when it is ready. */
function start(program, args) {
  /* setpriv becomes the program, which then does not outlive a test that is killed. */
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  running.add(child);
  const ended = new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  const ready = new Promise((resolve, reject) => {
    let text = '';
    child.on('error', reject);
    child.stdout.on('data', (data) => {
      text += data;
      const match = /^ready (\S+)/m.exec(text);
      if (match) resolve({ process: child, address: match[1], ended });
    });
    ended.then(({ code, signal }) => reject(new Error(`${program} ended before it was ready: ${code} ${signal}`)));
  });
  return within(READY_MS, `${program} is ready`, ready);
}

/** Ends one of them with a signal and resolves when it is gone. */
function stop(child, signal) {
  child.process.kill(signal);
  return within(READY_MS, `the end of ${child.process.pid}`, child.ended);
}

/** Runs a program to its end with its output passed on; resolves to the exit status. */
function run(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  running.add(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
}

/** Whatever still runs is killed; the directory goes. */
function cleanUp() {
  for (const child of running) child.kill('SIGKILL');
  fs.rmSync(directory, { recursive: true, force: true });
}

module.exports = { directory, start, stop, run, cleanUp };
