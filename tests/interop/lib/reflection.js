// SPDX-License-Identifier: Apache-2.0
//
// Builds clients from what a server tells of itself by reflection, and from nothing else. The protocol of reflection is the one that
// the package @grpc/reflection brings.
'use strict';

const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');

const PROTOS = path.join(path.dirname(require.resolve('@grpc/reflection/package.json')), 'build/proto');

function reflectionClient(version, address, credentials) {
  const file = path.join(PROTOS, 'grpc/reflection', version, 'reflection.proto');
  const root = grpc.loadPackageDefinition(loader.loadSync(file, { keepCase: true, defaults: true, oneofs: true }));
  return new root.grpc.reflection[version].ServerReflection(address, credentials);
}

/** Asks several things on one stream; resolves to the answers in order. */
function ask(version, address, credentials, requests) {
  const client = reflectionClient(version, address, credentials);
  return new Promise((resolve, reject) => {
    const answers = [];
    const stream = client.ServerReflectionInfo({ deadline: Date.now() + 10000 });
    stream.on('data', (answer) => answers.push(answer));
    stream.on('error', reject);
    stream.on('end', () => resolve(answers));
    for (const request of requests) stream.write(request);
    stream.end();
  }).finally(() => client.close());
}

async function services(version, address, credentials) {
  const [answer] = await ask(version, address, credentials, [{ list_services: '' }]);
  return answer.list_services_response.service.map((service) => service.name);
}

/** The name and the imports of a serialised FileDescriptorProto: fields 1 and 3. */
function fileHead(bytes) {
  const reader = protobuf.Reader.create(bytes);
  const head = { name: '', imports: [] };
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 10) head.name = reader.string();
    else if (tag === 26) head.imports.push(reader.string());
    else reader.skipType(tag & 7);
  }
  return head;
}

/** The files that describe a symbol and all that they import, in an order in which what is imported comes first. */
async function describe(version, address, credentials, symbol, known) {
  const files = known || new Map();
  const take = async (request) => {
    const [answer] = await ask(version, address, credentials, [request]);
    if (!answer.file_descriptor_response) throw new Error(`reflection: ${JSON.stringify(answer.error_response)}`);
    for (const bytes of answer.file_descriptor_response.file_descriptor_proto) {
      const head = fileHead(bytes);
      if (files.has(head.name)) continue;
      for (const name of head.imports) if (!files.has(name)) await take({ file_by_filename: name });
      files.set(head.name, bytes);
    }
  };
  await take({ file_containing_symbol: symbol });
  return files;
}

/** What grpc.loadPackageDefinition takes, for all the services of the server. */
async function packageDefinition(version, address, credentials, options) {
  const files = new Map();
  for (const name of await services(version, address, credentials))
    await describe(version, address, credentials, name, files);
  const writer = protobuf.Writer.create();
  for (const bytes of files.values()) writer.uint32(10).bytes(bytes); /* FileDescriptorSet: repeated field 1 */
  return loader.loadFileDescriptorSetFromBuffer(Buffer.from(writer.finish()), options);
}

module.exports = { ask, services, describe, packageDefinition };
