// Proves the verbs that read what a sidecar leaves behind: `tail`, `verify` and `ca show`.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { eventRecord } from '../../../src/record/ecs.ts'
import { Journal } from '../../../src/record/journal/journal.ts'
import { messageRecord } from '../../../src/record/message-record.ts'
import { loadOrMakeCa } from '../../../src/tls/ca.ts'
import { messageCall, messageOf } from '../record/support.ts'
import { run } from './support.ts'

const silent = (): void => undefined

async function writeJournal(dir: string): Promise<void> {
  const log = { info: silent, warn: silent, error: silent }
  const journal = Journal.open({
    dir,
    sync: 'process',
    segmentBytes: 1024 ** 2,
    retainMs: 3_600_000,
    maxBytes: 1024 ** 3,
    limits: DEFAULT_LIMITS,
    now: Date.now,
    log,
  })
  for (const message of ['one', 'two', 'three'])
    await journal.append(eventRecord('rules-loaded', { now: Date.now(), message }))
  const fields = {
    mcp: { method: { name: 'tools/call' } },
    gen_ai: { operation: { name: 'execute_tool' }, tool: { name: 'list_issues' } },
  }
  const denied = messageOf({ verdict: 'deny', fields })
  await journal.append(messageRecord(messageCall('C'), denied, Date.now()))
  await journal.close()
}

void t.test('verify says whether a journal is whole, and tail shows it', async (t) => {
  const dir = t.testdir({ 'sallyport.yaml': '' })
  const config = ['--config', path.join(dir, 'sallyport.yaml')]
  const journalDir = path.join(dir, 'journal')
  t.match(await run(['verify', ...config]), { code: 2, err: /there is no directory/ })
  await writeJournal(journalDir)

  const whole = await run(['verify', ...config])
  t.match(whole, {
    code: 0,
    out: /^intact: 4 records from 1, head 4 sha256:[0-9a-f]{64}\ntail-unanchored: no checkpoint covers the whole; .*\n$/,
  })
  t.match(JSON.parse((await run(['verify', journalDir, '--json'])).out), { ok: true, records: 4 })
  t.match(await run(['verify', journalDir, '--anchor', 'x']), {
    code: 2,
    err: /neither a file with a checkpoint nor SEQ:HASH/,
  })

  const lines = (await run(['tail', ...config])).out.trimEnd().split('\n')
  t.equal(lines.length, 4)
  t.match(lines[1], /rules-loaded two/)
  t.equal(
    (await run(['tail', journalDir, '--grep', 'two|three'])).out.trimEnd().split('\n').length,
    2,
  )
  t.equal((await run(['tail', journalDir, '--since', '1h'])).out.trimEnd().split('\n').length, 4)
  t.equal((await run(['tail', journalDir, '--since', '2100-01-01'])).out, '')
  t.match(await run(['tail', journalDir, '--since', 'soon']), {
    code: 2,
    err: /neither a duration nor a time/,
  })
  t.match(await run(['tail', journalDir, '--grep', '(']), { code: 2, err: /--grep/ })
  t.match(await run(['tail', journalDir, '--tool', 'list_*']), {
    code: 0,
    out: /^\S+ \S+ DENY {2}→ tools\/call list_issues https:\/\/mcp.test\/mcp tool-not-allowed .*\n$/,
  })
  t.match(await run(['tail', journalDir, '--tool', 'list', '--verdict', 'deny']), { out: '' })
  t.match((await run(['tail', journalDir, '-n', '1'])).out, /^[^\n]* DENY [^\n]*\n$/)
  t.match(await run(['tail', journalDir, '-n', 'all']), { code: 2, err: /`--lines all`/ })
  t.equal((await run(['tail', journalDir, '--until', '1h'])).out, '')
  t.equal((await run(['tail', journalDir, '--alerts'])).out, '')
  const json = (await run(['tail', journalDir, '--json'])).out.split('\n')
  t.match(JSON.parse(json[0] ?? ''), {
    event: { action: 'rules-loaded' },
    sallyport: { chain: { seq: 1 } },
  })

  const [segment = ''] = readdirSync(journalDir).filter((name) => name.endsWith('.ndjson'))
  const file = path.join(journalDir, segment)
  writeFileSync(file, readFileSync(file, 'utf8').replace('"two"', '"TWO"'))
  const edited = await run(['verify', journalDir])
  t.equal(edited.code, 1)
  t.match(edited.out, new RegExp(`^${segment}:2: .*\n1 problem: 4 records`))
})

void t.test('summary counts for a person and for scripts', async (t) => {
  const dir = t.testdir({ 'sallyport.yaml': '' })
  const config = ['--config', path.join(dir, 'sallyport.yaml')]
  t.match(await run(['summary', ...config]), { code: 0, out: /nothing is on record/ })
  await writeJournal(path.join(dir, 'journal'))
  const { code, out } = await run(['summary', ...config])
  t.equal(code, 0)
  t.match(out, /^seen +\S+Z to \S+Z, 4 records\ncalls +0: 0 allowed, 0 denied\nmessages +1: /m)
  t.match(out, /^tool +allowed {2}denied {2}failed\nmcp\.test:443 list_issues +- +1 +-$/m)
  t.match(out, /^event +times\nrules-loaded +3$/m)
  t.match(JSON.parse((await run(['summary', ...config, '--json'])).out), {
    records: 4,
    messages: { denied: 1 },
    tools: { rows: [{ name: 'mcp.test:443 list_issues', counts: { denied: 1 } }] },
  })
  t.match(await run(['summary', ...config, '--task', 't_none']), { out: /nothing is on record/ })
  t.match(await run(['summary', ...config, '--since', 'soon']), { code: 2, err: /`--since soon`/ })
})

void t.test('ca show prints what a client compares, and nothing secret', async (t) => {
  const dir = t.testdir({ 'sallyport.yaml': '' })
  const config = ['--config', path.join(dir, 'sallyport.yaml')]
  t.match(await run(['ca', 'show', ...config]), { code: 1, err: /made at the first/ })
  loadOrMakeCa({
    dir: path.join(dir, 'certs'),
    keyFile: path.join(dir, 'state/ca.key'),
    lifetimeMs: 86_400_000,
    now: Date.now,
  })
  const { code, out } = await run(['ca', 'show', ...config])
  t.equal(code, 0)
  t.match(out, /^sha256 +([0-9A-F]{2}:){31}[0-9A-F]{2}$/m)
  t.match(out, /^certificate .*certs\/ca\.crt$/m)
  t.notMatch(out, /PRIVATE/)
  t.match((await run(['ca', 'show', '--pem', ...config])).out, /^-----BEGIN CERTIFICATE-----/)
  t.match(JSON.parse((await run(['ca', 'show', '--json', ...config])).out), {
    serial: /^[0-9A-F]+$/,
  })
})
