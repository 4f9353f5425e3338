// Proves that what sinks authenticate with is known to what keeps secrets out of records and logs.

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

import { loadConfig } from '../../../src/config/load.ts'
import { openSecrets } from '../../../src/config/secrets.ts'
import { makeNatsKey } from '../../fixtures/nats-keys.ts'

void t.test('R55: no secret of a sink is in a text, wherever it was read from', (t) => {
  const dir = t.testdir({})
  const { seed } = makeNatsKey('U')
  writeFileSync(path.join(dir, 'hec'), 'hec-token-of-a-file\n')
  writeFileSync(path.join(dir, 'user.creds'), `-----BEGIN USER NKEY SEED-----\n${seed}\n---\n`)
  const pair = Buffer.from('elastic:password-of-a-pair').toString('base64')
  writeFileSync(
    path.join(dir, 'sallyport.yaml'),
    `sinks:
  - http: { name: a, url: 'https://a.test/', headers: { Authorization: Bearer token-of-a-text, Cookie: 'sid=cookie-of-a-text' } }
  - splunk: { name: b, url: 'https://b.test/', token: { file: hec } }
  - elastic: { name: c, url: 'https://c.test/', index: i, headers: { authorization: { env: PAIR } } }
  - elastic: { name: d, url: 'https://d.test/', index: i, apiKey: { env: API_KEY } }
  - nats: { name: e, url: 'tls://e.test:4222', subject: s, user: u, password: { env: PASSWORD } }
  - nats: { name: f, url: 'tls://f.test:4222', subject: s, credentialsFile: user.creds }
`,
  )
  const environment = {
    PAIR: `Basic ${pair}`,
    API_KEY: 'api-key-of-a-variable',
    PASSWORD: 'password-of-a-variable',
  }
  const { config, problems } = loadConfig({ file: path.join(dir, 'sallyport.yaml'), environment })
  const guard = { mask: (line: string) => line }
  if (config === undefined) throw new Error(JSON.stringify(problems))
  openSecrets(config, environment, guard)
  const said = [
    'token-of-a-text',
    'cookie-of-a-text',
    'hec-token-of-a-file',
    pair,
    'password-of-a-pair',
    'api-key-of-a-variable',
    'password-of-a-variable',
    seed,
  ]
  for (const secret of said) {
    const line = guard.mask(`it said ${secret} aloud`)
    t.match(line, /^it said .*\[secret:[a-z]+\] aloud$/)
    t.notOk(line.includes(secret), secret)
  }
  t.equal(guard.mask('it said nothing aloud'), 'it said nothing aloud')
  t.end()
})
