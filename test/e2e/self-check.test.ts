// The controls of a running sidecar, broken one at a time: the next look fails, is an alert, is seen on /readyz and
// /metrics, and passes again once the control holds. The record stands by itself: anybody checks its signature.

import { createPublicKey, verify } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'

import {
  ruleSet,
  scenario,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { api } from '../fixtures/tasks.ts'

interface SelfCheck {
  readonly time: string
  readonly checks: readonly { readonly name: string; readonly outcome: string }[]
  readonly key: string
  readonly signature: string
}

const options = {
  rules: ruleSet(`id: up, allow: 'https://up.test'`),
  config: `credentials:
  token: { source: { file: token.secret }, inject: { bearer: true }, hosts: ['up.test'] }
`,
  files: { 'token.secret': 'canary-token-file-0011223344' },
  limits: 'selfCheckMs: 200',
}

const looks = (cx: Scenario): JournalRecord[] =>
  cx.records().filter(({ event }) => event.action === 'self-check')
const failedOf = (record: JournalRecord | undefined): unknown =>
  record?.sallyport.detail?.['failed']

/** Waits for a look that begins after now and fails by these names, or passes. */
async function nextLook(cx: Scenario, failed: readonly string[]): Promise<JournalRecord> {
  const before = looks(cx).length
  await until(
    () =>
      looks(cx)
        .slice(before)
        .some((one) => JSON.stringify(failedOf(one)) === JSON.stringify(failed)),
    `a look fails by ${failed.join(', ') || 'nothing'}; the last: ${JSON.stringify(looks(cx).at(-1)?.sallyport.detail)}`,
  )
  return looks(cx).findLast((one) => JSON.stringify(failedOf(one)) === JSON.stringify(failed))!
}

async function ready(cx: Scenario): Promise<{ status: number; detail: unknown }> {
  const answer = await fetch(`http://127.0.0.1:${cx.healthPort}/readyz`)
  const { checks }: { checks: { name: string; detail?: string }[] } = JSON.parse(
    await answer.text(),
  )
  return { status: answer.status, detail: checks.find(({ name }) => name === 'self-check')?.detail }
}

/** Breaks a control, sees it fail everywhere, mends it, sees it pass. */
async function breakAndMend(
  cx: Scenario,
  t: Test,
  name: string,
  spoil: () => void,
  mend: () => void,
  isReady = false,
): Promise<void> {
  await nextLook(cx, [])
  t.equal((await ready(cx)).status, 200, `before ${name} is broken`)
  spoil()
  const record = await nextLook(cx, [name])
  t.match(record, { event: { kind: 'alert', outcome: 'failure' } }, `${name} is an alert`)
  if (isReady) t.match(await ready(cx), { status: 200, detail: undefined })
  else t.match(await ready(cx), { status: 503, detail: name })
  t.equal(await cx.metric(`sallyport_self_check_passed{name="${name}"}`), 0)
  mend()
  t.match(await nextLook(cx, []), { event: { kind: 'event', outcome: 'success' } })
  t.equal((await ready(cx)).status, 200, `after ${name} is mended`)
  t.equal(await cx.metric(`sallyport_self_check_passed{name="${name}"}`), 1)
}

scenario(
  t,
  'R78: the results are on record, signed with a key that is served',
  options,
  async (cx, t) => {
    const record = await nextLook(cx, [])
    const { time, checks, key, signature }: SelfCheck = JSON.parse(
      JSON.stringify(record.sallyport.detail),
    )
    const text = [
      'sallyport self-check 1',
      `time ${time}`,
      ...checks.map(({ name, outcome }) => `${name} ${outcome}`),
      '',
    ].join('\n')
    const { body } = await api(cx, 'GET', '/v1/checkpoints')
    const jwk = body.keys.find(({ kid }: { kid: string }) => kid === key)
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
    const bytes = Buffer.from(signature, 'base64url')
    t.ok(verify(null, Buffer.from(text), publicKey, bytes), 'the signature is right')
    t.notOk(
      verify(null, Buffer.from(text.replace('pass', 'fail')), publicKey, bytes),
      'its twin not',
    )
    t.ok(checks.length >= 10)
    t.ok((await cx.metric('sallyport_self_check_timestamp_seconds')) > 1e9)
    const { body: inventory } = await api(cx, 'GET', '/v1/inventory')
    t.strictSame(inventory.unknownClients, [], 'the look itself is no stranger')
  },
)

scenario(
  t,
  'R78: a control that is broken fails the next look and is an alert',
  options,
  async (cx, t) => {
    const at = (name: string): string => path.join(cx.directory, name)
    const key = at('state/receipt.key')
    await breakAndMend(
      cx,
      t,
      'key-files',
      () => chmodSync(key, 0o644),
      () => chmodSync(key, 0o600),
    )
    const socket = at('state/control.sock')
    await breakAndMend(
      cx,
      t,
      'control-socket',
      () => chmodSync(socket, 0o666),
      () => chmodSync(socket, 0o660),
    )
    const certificate = cx.caPem()
    await breakAndMend(
      cx,
      t,
      'ca-certificate',
      () => writeFileSync(at('certs/ca.crt'), certificate.replace('A', 'B')),
      () => writeFileSync(at('certs/ca.crt'), certificate),
    )
    const rules = readFileSync(at('rules/set.yaml'), 'utf8')
    await breakAndMend(
      cx,
      t,
      'rules-in-force',
      () => writeFileSync(at('rules/set.yaml'), 'ruleset: set\nrules: [nonsense]\n'),
      () => writeFileSync(at('rules/set.yaml'), rules),
      true,
    )
  },
)

scenario(
  t,
  'R78: a line of the live journal that is edited in place fails the next look',
  { ...options, unchecked: true },
  async (cx, t) => {
    await nextLook(cx, [])
    const directory = path.join(cx.directory, 'journal')
    const name = readdirSync(directory).find((one) => one.endsWith('.ndjson'))!
    const file = path.join(directory, name)
    const text = readFileSync(file, 'utf8')
    const at = text.indexOf('rules-loaded')
    t.ok(at > 0)
    // In place, so that what the sidecar writes meanwhile stays.
    const descriptor = openSync(file, 'r+')
    writeSync(descriptor, 'rules-hidden', at)
    t.match(await nextLook(cx, ['journal-tail']), { event: { kind: 'alert' } })
    t.match(await ready(cx), { status: 503, detail: 'journal-tail' })
    writeSync(descriptor, 'rules-loaded', at)
    closeSync(descriptor)
    await nextLook(cx, [])
  },
)

scenario(
  t,
  'R78: a credential that is gone is told, and keeps nothing from being ready',
  options,
  async (cx, t) => {
    await nextLook(cx, [])
    rmSync(path.join(cx.directory, 'token.secret'))
    const record = await nextLook(cx, ['credentials'])
    t.equal(record.event.kind, 'alert')
    t.equal((await ready(cx)).status, 200)
    cx.file('token.secret', options.files['token.secret'])
    await nextLook(cx, [])
  },
)

scenario(
  t,
  'R78: a sink that takes nothing is told, and keeps nothing from being ready',
  {
    rules: options.rules,
    limits: options.limits,
    config: "sinks: [ { http: { url: 'http://127.0.0.1:9/nobody' } } ]\n",
  },
  async (cx, t) => {
    const record = await nextLook(cx, ['sinks'])
    t.equal(record.event.kind, 'alert')
    t.equal((await ready(cx)).status, 200)
  },
)
