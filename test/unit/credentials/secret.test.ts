import { format, inspect } from 'node:util'

import t from 'tap'

import { reveal } from '../../../src/credentials/reveal.ts'
import { Secret } from '../../../src/credentials/secret.ts'
import { makeSecret } from '../../../src/credentials/vault.ts'
import { EgressError } from '../../../src/errors.ts'

const CANARY = 'canary-6f1c4e0d9b7a42'

void t.test('whatever prints a secret prints its name', (t) => {
  const secret = makeSecret('github', CANARY)
  const printed = '[secret github]'
  // eslint-disable-next-line typescript/restrict-template-expressions, typescript/no-base-to-string
  t.equal(`${secret}`, printed)
  t.equal(String(secret), printed)
  t.equal(secret.toString(), printed)
  t.equal(JSON.stringify({ secret }), `{"secret":"${printed}"}`)
  t.equal(inspect(secret), printed)
  t.equal(inspect({ deep: [{ secret }] }, { depth: 9, showHidden: true }).includes(CANARY), false)
  t.equal(format('%s %o %O %j', secret, secret, secret, secret).includes(CANARY), false)
  t.equal([secret, 'x'].join(), `${printed},x`)
  t.end()
})

void t.test('an error that carries a secret shows its name only', (t) => {
  const secret = makeSecret('github', CANARY)
  const error = new EgressError(
    'credential-unavailable',
    { credential: String(secret) },
    { cause: secret },
  )
  t.match(inspect(error, { showHidden: true }), /\[secret github\]/)
  for (const text of [inspect(error), String(error), error.stack ?? '', JSON.stringify(error)])
    t.notMatch(text, CANARY)
  t.end()
})

void t.test('no copy of a secret carries its value', (t) => {
  const secret = makeSecret('github', CANARY)
  t.strictSame(Object.entries(secret), [['name', 'github']])
  t.strictSame(Reflect.ownKeys(secret), ['name'])
  t.notMatch(JSON.stringify([Object.assign({}, secret), structuredClone(secret)]), CANARY)
  t.throws(() => Object.assign(secret, { value: 'x' }), TypeError)
  t.end()
})

void t.test('I3: reveal opens the secrets of the vault and no other', (t) => {
  t.equal(reveal(makeSecret('github', CANARY), 'test'), CANARY)
  t.throws(() => reveal(new Secret('github'), 'test'))
  t.end()
})
