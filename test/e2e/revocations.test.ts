// What is minted for a task is taken back with it, seen from the provider: a program that keeps a list of what it gave.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import {
  exchange,
  request,
  scenario,
  startSecure,
  until,
  type Scenario,
} from '../fixtures/scenario.ts'
import { api, makeTask, revoke, secureAs, type MadeTask } from '../fixtures/tasks.ts'

const HOST = 'api.test'
const PATIENCE_MS = 60_000
const CANARY = 'canary-minted-91c7e0'

// Gives a token that is a file as long as it is valid; takes it back unless it is told that it is down.
const MINT = `
import { writeFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
const id = randomUUID()
writeFileSync(new URL('live/' + id, import.meta.url), process.env.SALLYPORT_TASK ?? '')
const expiresAt = new Date(Date.now() + 3600_000).toISOString()
console.log(JSON.stringify({ value: '${CANARY}-' + id, expiresAt, id }))
`
const REVOKE = `
import { existsSync, readFileSync, rmSync } from 'node:fs'
if (existsSync(new URL('down', import.meta.url))) process.exit(1)
const { id } = JSON.parse(readFileSync(0, 'utf8'))
rmSync(new URL('live/' + id, import.meta.url), { force: true })
`

void t.test('leases end with their tasks', async (t) => {
  const upstream = await startSecure([HOST], () => ({ body: 'ok' }))
  t.teardown(() => upstream.close())
  const at = `${HOST}:${upstream.port}`
  const options = {
    expires: null,
    hosts: [HOST],
    config: `credentials:
  minted: { source: { exec: { command: [${process.execPath}, mint.mjs], revoke: [${process.execPath}, revoke.mjs] } }, inject: { bearer: true }, hosts: ['${at}'] }
  fixed: { source: { env: FIXED }, inject: { bearer: true }, hosts: ['${at}'] }
`,
    secrets: { FIXED: 'canary-fixed-0e44b1a7' },
    limits: 'providerTimeoutMs: 30000',
    files: { 'mint.mjs': MINT, 'revoke.mjs': REVOKE, 'live/.keep': '' },
    ruleSets: [],
    rules: {
      set: `ruleset: set\nrules:\n  - { id: use, allow: 'https://${at}', paths: ['/minted'], credential: minted, static: false, addresses: [127.0.0.0/8] }\n  - { id: old, allow: 'https://${at}', paths: ['/fixed'], credential: fixed, addresses: [127.0.0.0/8] }\n`,
      strict: `ruleset: strict\nrules:\n  - { id: law, allow: 'https://${at}', paths: ['/fixed'], static: false, addresses: [127.0.0.0/8] }\n`,
      wrong: `ruleset: wrong\nrules:\n  - { id: bad, allow: 'https://${at}', credential: fixed, static: false, addresses: [127.0.0.0/8] }\n`,
    },
  }
  const live = (cx: Scenario): string[] =>
    readdirSync(path.join(cx.directory, 'live')).filter((name) => name !== '.keep')
  const use = async (cx: Scenario, task: MadeTask, target = '/minted'): Promise<string> =>
    exchange(await secureAs(cx, task, at), request('GET', target, at), PATIENCE_MS)
  const receiptOf = async (cx: Scenario, id: string): Promise<Receipt> =>
    (await api(cx, 'GET', `/v1/tasks/${id}`)).body.receipt
  const revocations = (cx: Scenario): ReturnType<Scenario['records']> =>
    cx.records().filter(({ event }) => event.action === 'credential-revoked')
  const gone = (cx: Scenario): Promise<void> =>
    until(() => live(cx).length === 0, 'no lease is alive')

  scenario(
    t,
    'R60 R13: revoking a task revokes its leases and those of its stages, and of no other',
    options,
    async (cx, t) => {
      const [task, other] = [await makeTask(cx), await makeTask(cx)]
      const child = await makeTask(cx, { expires: '10m' }, task.id)
      for (const each of [task, other, child]) t.match(await use(cx, each), /^HTTP\/1\.1 200/)
      t.equal(live(cx).length, 3, 'one a task')
      const sent = upstream.seen.map(({ rawHeaders }) =>
        rawHeaders.find((text) => text.includes(CANARY)),
      )
      t.equal(new Set(sent).size, 3)
      t.match(await use(cx, task, '/fixed'), /^HTTP\/1\.1 200/)
      await revoke(cx, task.id)
      await until(async () => (await receiptOf(cx, task.id)).complete, 'the receipt is complete')
      t.strictSame(
        live(cx).map((id) => readFileSync(path.join(cx.directory, 'live', id), 'utf8')),
        [other.id],
      )
      t.match(
        (await receiptOf(cx, task.id)).items.filter(({ kind }) => kind === 'credential'),
        [
          { name: 'minted', outcome: 'ended', lease: /^l_/, detail: /seen not to work/ },
          { name: 'fixed', outcome: 'forgotten', residualExposureUntil: null },
        ],
      )
      t.match(revocations(cx)[0], {
        event: { outcome: 'success' },
        sallyport: { detail: { credential: 'minted', how: 'confirmed' } },
      })
      await revoke(cx, other.id)
      await gone(cx)
    },
  )

  scenario(
    t,
    'R64: a provider that is down at the end leaves residual exposure until it is back',
    options,
    async (cx, t) => {
      const task = await makeTask(cx)
      t.match(await use(cx, task), /^HTTP\/1\.1 200/)
      writeFileSync(path.join(cx.directory, 'down'), '')
      const { complete, items } = await revoke(cx, task.id)
      t.equal(complete, false)
      const item = items.find(({ kind }) => kind === 'credential')
      t.match(item, { outcome: 'unconfirmed', detail: /tried again/ })
      t.ok(Date.parse(String(item?.residualExposureUntil)) > Date.now())
      rmSync(path.join(cx.directory, 'down'))
      await gone(cx)
      await until(async () => (await receiptOf(cx, task.id)).complete, 'the receipt is complete')
      t.match(await receiptOf(cx, task.id), { signature: { algorithm: 'Ed25519' } })
      t.match(
        revocations(cx).map(({ event }) => event.outcome),
        ['failure', 'success'],
      )
    },
  )

  scenario(t, 'a crash loses no lease, and no file has one in clear', options, async (cx, t) => {
    const [task, ended] = [await makeTask(cx), await makeTask(cx)]
    for (const each of [task, ended]) t.match(await use(cx, each), /^HTTP\/1\.1 200/)
    writeFileSync(path.join(cx.directory, 'down'), '')
    await revoke(cx, ended.id)
    const values = live(cx).map((id) => `${CANARY}-${id}`)
    await cx.stop('SIGKILL')
    for (const file of readdirSync(path.join(cx.directory, 'state')))
      if (/\.ndjson$|\.key$/.test(file)) {
        const text = readFileSync(path.join(cx.directory, 'state', file), 'latin1')
        for (const value of values) t.notOk(text.includes(value), file)
      }
    rmSync(path.join(cx.directory, 'down'))
    await cx.start()
    await gone(cx)
    await until(async () => (await receiptOf(cx, ended.id)).complete, 'the receipt is complete')
    t.match(await use(cx, task), /^HTTP\/1\.1 200/, 'another is minted for the task that goes on')
    t.equal(live(cx).length, 1)
    await revoke(cx, task.id)
    await gone(cx)
  })

  scenario(t, 'the kill switch for a credential revokes it everywhere', options, async (cx, t) => {
    const [one, two] = [await makeTask(cx), await makeTask(cx)]
    for (const each of [one, two]) t.match(await use(cx, each), /^HTTP\/1\.1 200/)
    const { body } = await api(cx, 'POST', '/v1/kill', { scope: 'credential', value: 'minted' })
    await gone(cx)
    t.match(await use(cx, one), /403 Sallyport: killed/)
    t.equal(live(cx).length, 0, 'none is minted')
    await api(cx, 'DELETE', `/v1/kill/${body.kill.id}`)
    t.match(await use(cx, one), /^HTTP\/1\.1 200/)
    t.equal(live(cx).length, 1)
    await revoke(cx, one.id)
    await gone(cx)
  })

  scenario(
    t,
    'R21: a static credential is refused where a rule says so, whoever names it',
    options,
    async (cx, t) => {
      await t.rejects(makeTask(cx, { rules: ['wrong'] }), { message: /static secret/ })
      const both = await makeTask(cx, { rules: ['set', 'strict'] })
      const before = upstream.seen.length
      t.match(await use(cx, both, '/fixed'), /502 Sallyport: credential-unavailable/)
      t.equal(upstream.seen.length, before, 'nothing was sent')
      t.match(await use(cx, both), /^HTTP\/1\.1 200/)
      const alone = await makeTask(cx)
      t.match(await use(cx, alone, '/fixed'), /^HTTP\/1\.1 200/, 'its twin')
      for (const { id } of [both, alone]) await revoke(cx, id)
      await gone(cx)
    },
  )
})

interface Receipt {
  readonly complete: boolean
  readonly items: readonly { readonly kind: string }[]
}
