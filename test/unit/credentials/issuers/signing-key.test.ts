// Which keys sign what proves a client.

import { generateKeyPairSync } from 'node:crypto'

import t from 'tap'

import { readSigningKey } from '../../../../src/credentials/issuers/signing-key.ts'

void t.test('a key of RSA that is too short signs nothing', (t) => {
  const pemOf = (modulusLength: number): string =>
    generateKeyPairSync('rsa', { modulusLength })
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString()
  t.equal(readSigningKey(pemOf(2048)).algorithm, 'RS256')
  t.throws(() => readSigningKey(pemOf(1024)), {
    message: 'the key has fewer than 2048 bits',
    isLasting: true,
  })
  t.end()
})
