// Which secrets of its own the sidecar keeps out of all that it writes down, and that no pattern spoils what it proves.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t from 'tap'

import { loadConfig } from '../../../src/config/load.ts'
import { makeLog } from '../../../src/record/log.ts'
import { openSecrets } from '../../../src/config/secrets.ts'
import type { Redactor } from '../../../src/inspect/redactor.ts'
import { eventRecord } from '../../../src/record/ecs.ts'
import { redactRecord } from '../../../src/record/redact-record.ts'

const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-own-secrets-'))
t.teardown(() => rmSync(directory, { recursive: true }))

const SEED = `SU${'AB27'.repeat(14)}`

function redactorOf(text: string, environment: Record<string, string> = {}): Redactor {
  const file = path.join(directory, 'sallyport.yaml')
  writeFileSync(file, text)
  writeFileSync(path.join(directory, 'control'), 'control-token-0123456789\n')
  writeFileSync(path.join(directory, 'principal'), 'principal-token-0123456789\n')
  writeFileSync(
    path.join(directory, 'nats.creds'),
    `-----BEGIN NATS USER JWT-----\neyJ0.eyJ1.c2ln\n------END NATS USER JWT------\n\n${SEED}\n`,
  )
  const { config, problems } = loadConfig({ file, environment })
  if (config === undefined) throw new Error(JSON.stringify(problems))
  const stateDir = directory
  const guard = { mask: (line: string): string => line }
  const log = makeLog({ level: 'silent' })
  return openSecrets({ config: { ...config, stateDir }, environment, guard, log }, () => {
    throw new Error('nothing is dialed')
  }).redactor
}

void t.test('R55: what sinks, hooks and the control API are proved with is masked', (t) => {
  const basic = Buffer.from('collector:pass-0123456789').toString('base64')
  const redactor = redactorOf(
    `sinks:
  - http: { url: 'http://127.0.0.1:9/a', headers: { X-Team: { env: TEAM }, Authorization: { env: BASIC }, X-Plain: plain-0123456789 } }
  - nats: { url: 'nats://127.0.0.1:9', subject: 'records', user: me, password: { env: PASSWORD } }
  - nats: { url: 'nats://127.0.0.1:8', subject: 'records', credentialsFile: nats.creds }
hooks:
  end: { http: { url: 'http://127.0.0.1:9/end', headers: { Authorization: 'Bearer hook-0123456789' } } }
control:
  listen: 'unix:control.sock'
  principals: [{ name: ci, tokenFile: principal, roles: [viewer] }]
`,
    { TEAM: 'team-0123456789', BASIC: `Basic ${basic}`, PASSWORD: 'correct horse battery staple' },
  )
  const masked = redactor.text('x plain-0123456789 y', undefined)
  t.equal(masked, 'x plain-0123456789 y', 'what is said to be no secret is none')
  for (const secret of [
    'team-0123456789',
    basic,
    'pass-0123456789',
    'correct horse battery staple',
    SEED,
    'hook-0123456789',
    'principal-token-0123456789',
  ])
    t.equal(redactor.text(`x ${secret} y`, undefined), 'x [secret:credential] y', secret)
  const own = redactorOf(`control: { listen: 'unix:control.sock', tokenFile: control }\n`)
  t.equal(own.text('x control-token-0123456789', undefined), 'x [secret:credential]')
  t.end()
})

void t.test('R55: what cannot be read is no secret, and nobody waits for it', (t) => {
  const redactor = redactorOf(
    `sinks:
  - nats: { url: 'nats://127.0.0.1:9', subject: 'records', credentialsFile: missing }
  - splunk: { url: 'http://127.0.0.1:9', token: { env: MISSING } }
control: { listen: 'unix:control.sock', tokenFile: missing }
`,
  )
  t.equal(redactor.text('anything at all', undefined), 'anything at all')
  t.end()
})

void t.test('R55: a pattern that finds everything makes no text long, and spoils no proof', (t) => {
  const redactor = redactorOf(`redact: { patterns: ['.', '\\d{4}'] }\n`)
  t.equal(redactor.text('anything at all', undefined), '[secret:pattern]')
  t.equal(redactor.text('one\ntwo', undefined), '[secret:pattern]\n[secret:pattern]')
  const signature = `sk-${'a1B2'.repeat(20)}abc`
  const key = { kty: 'OKP', crv: 'Ed25519', x: `sk-${'a1B2'.repeat(10)}`, kid: 'hf_0' }
  const time = '2026-11-26T02:50:11.402Z'
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}`
  const shown = (action: string, detail: object): unknown =>
    redactRecord(eventRecord(action, { now: 0, detail: { ...detail } }), redactor).sallyport.detail
  const announced = { journal: 'j_1', key, from: time, signature }
  t.strictSame(shown('checkpoint-key', announced), announced)
  const checks = [{ name: 'clock', outcome: 'pass' }]
  t.match(shown('self-check', { time, checks, key: 'hf_0', signature }), {
    time,
    key: 'hf_0',
    signature,
  })
  t.match(shown('rules-loaded', { digest, sets: ['set@1'] }), { digest })
  t.match(shown('denial-storm', { from: time, tool: 'anything' }), {
    from: time,
    tool: '[secret:pattern]',
  })
  t.end()
})

void t.test('R55: a credential that passes for a digest is masked all the same', (t) => {
  const credential = 'a-credential-of-32-characters-00'
  const redactor = redactorOf(
    `credentials:
  one: { source: { env: ONE }, inject: { bearer: true }, hosts: ['up.test'] }
sinks: [{ splunk: { url: 'http://127.0.0.1:9', token: { env: ONE } } }]
`,
    { ONE: credential },
  )
  const tool = `sha256:${Buffer.from(credential).toString('hex')}`
  const record = eventRecord('tool-definition-changed', { now: 0, detail: { tool } })
  t.strictSame(redactRecord(record, redactor).sallyport.detail, {
    tool: 'sha256:[secret:credential]',
  })
  t.end()
})
