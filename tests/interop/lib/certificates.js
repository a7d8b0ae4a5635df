// SPDX-License-Identifier: Apache-2.0
//
// Certificates for one run, by openssl: a CA, a server's for localhost, a client's, and a stranger's that the CA did not sign.
'use strict';

const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');

function openssl(directory, args) {
  execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
}

function authority(directory, name) {
  openssl(directory, ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
    '-keyout', `${name}.key`, '-out', `${name}.pem`]);
}

function certificate(directory, name, ca, alternative) {
  openssl(directory, ['req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`]);
  fs.writeFileSync(path.join(directory, `${name}.ext`), `subjectAltName=${alternative}\n`);
  openssl(directory, ['x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2',
    '-extfile', `${name}.ext`, '-out', `${name}.pem`]);
}

/** Makes them in a directory. file(name) is a path, pem(name) the content. */
function make(directory) {
  authority(directory, 'ca');
  authority(directory, 'other-ca');
  certificate(directory, 'interop-server', 'ca', 'DNS:localhost,IP:127.0.0.1');
  certificate(directory, 'interop-client', 'ca', 'DNS:interop-client');
  certificate(directory, 'stranger', 'other-ca', 'DNS:stranger');
  const file = (name) => path.join(directory, name);
  return { file, pem: (name) => fs.readFileSync(file(name)) };
}

module.exports = { make };
