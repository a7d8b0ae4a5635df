// SPDX-License-Identifier: Apache-2.0
//
// Runs cases one after another, each with a time limit: "ok <name>" or the failure, then a count. Exit status 1 when one failed.
'use strict';

const CASE_MS = 60000;
const cases = [];

/** Registers a case; `body` may be async and fails by throwing. */
function test(name, body) {
  cases.push({ name, body });
}

/** Rejects with `what` after so many ms, unless `promise` settles before. */
function within(ms, what, promise) {
  let timer;
  const limit = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

/** Runs what was registered, then `cleanUp`, and ends the process. */
async function runAll(cleanUp) {
  const failed = [];
  for (const { name, body } of cases) {
    try {
      await within(CASE_MS, name, Promise.resolve().then(body));
      console.log(`ok ${name}`);
    } catch (error) {
      failed.push(name);
      console.log(`not ok ${name}\n${error.stack}`);
    }
  }
  await cleanUp();
  console.log(`${cases.length - failed.length} of ${cases.length} cases passed`);
  if (failed.length > 0) console.log(`failed: ${failed.join(', ')}`);
  process.exit(failed.length > 0 ? 1 : 0);
}

module.exports = { test, within, runAll };
