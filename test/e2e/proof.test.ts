// The proof seen from outside: tasks that end are sealed, heads are signed, keys follow each other, and `verify` tells with
// an anchor what without one nobody can: over restarts, kill -9 under load, and for one task by itself.

import { spawn, spawnSync } from 'node:child_process'
import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, revoke } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

interface CheckpointJson {
  readonly journal: string
  readonly task?: string
  readonly seq: number
  readonly hash: string
  readonly time: string
  readonly final?: true
  readonly key: string
  readonly signature: string
}

const segmentsOf = (cx: Scenario): string[] =>
  readdirSync(path.join(cx.directory, 'journal'))
    .filter((name) => name.endsWith('.ndjson'))
    .toSorted()
    .map((name) => path.join(cx.directory, 'journal', name))

const linesOf = (cx: Scenario): string[] =>
  segmentsOf(cx).flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1))

/** What `verify --json` says, as far as it is looked at by name. */
interface VerifyJson {
  readonly checkpoints: { readonly verified: number }
}

const BIN = path.join(import.meta.dirname, '../../bin/sallyport.js')

/** Runs `verify`, while this process goes on with what it serves and keeps open. */
async function runVerify(
  cx: Scenario,
  ...words: string[]
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const all = ['-u', 'NODE_OPTIONS', process.execPath, BIN, 'verify', ...words]
  const child = spawn('env', all, { cwd: cx.directory, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [status] = await once(child, 'close')
  return { status: Number(status), stdout, stderr }
}

/** Runs `verify --json`. */
async function verify(
  cx: Scenario,
  ...words: string[]
): Promise<{ status: number | null; report: VerifyJson }> {
  const { status, stdout, stderr } = await runVerify(cx, ...words, '--json')
  if (status !== 0 && status !== 1) throw new Error(`verify: ${stdout}${stderr}`)
  return { status, report: JSON.parse(stdout) }
}

async function keysOf(cx: Scenario): Promise<(JsonWebKey & { kid: string; until?: string })[]> {
  const { body } = await api(cx, 'GET', '/v1/checkpoints')
  return body.keys
}

void t.test('the proof', async (t) => {
  const plain = await startHttp({ handler: () => ({ body: 'ok' }) })
  t.teardown(() => plain.close())
  const url = `http://plain.test:${plain.port}/`
  const rules = ruleSet(
    `id: plain, allow: 'http://plain.test:${plain.port}', addresses: [127.0.0.0/8]`,
  )
  const options = { hosts: ['plain.test'], rules, expires: null }

  scenario(
    t,
    'R56: a task that ended is sealed and proved by itself, with the public key alone',
    options,
    async (cx, t) => {
      const one = await makeTask(cx)
      const two = await makeTask(cx)
      for (const task of [one, two, one]) t.match(await getAs(cx, task, url), /200/)
      const live = await api(cx, 'POST', '/v1/checkpoints', { task: two.id })
      t.match(live, { status: 200, body: { task: two.id, final: undefined } })
      await revoke(cx, one.id)
      await until(
        () => cx.records().some(({ event }) => event.action === 'task-sealed'),
        'the task is sealed',
      )
      const ofOne = cx.records().filter(({ sallyport }) => sallyport.task?.id === one.id)
      const actions = ofOne.map(({ event }) => event.action)
      t.strictSame(actions.slice(-3), ['task-receipt', 'task-ended', 'task-sealed'])
      t.strictSame(
        ofOne.map(({ sallyport }) => sallyport.chain.task?.seq),
        ofOne.map((_, at) => at + 1),
      )
      const lines = linesOf(cx).filter((line) => line.includes(`"task":{"id":"${one.id}"`))
      const seal = cx.file('seal.json', lines.at(-1) ?? '')
      const keys = cx.file('keys.json', JSON.stringify(await keysOf(cx)))
      const alone = cx.file('one.ndjson', lines.map((line) => `${line}\n`).join(''))
      const strict = ['--task', one.id, '--key', keys, '--anchor', seal]
      for (const place of [alone, path.join(cx.directory, 'journal')])
        t.match(await verify(cx, place, ...strict), {
          status: 0,
          report: {
            ok: true,
            isSealed: true,
            anchored: true,
            records: ofOne.length,
            checkpoints: { verified: 1, unchecked: 0, last: { final: true } },
          },
        })
      t.match(await verify(cx, path.join(cx.directory, 'journal'), '--task', two.id), {
        status: 0,
        report: { isSealed: false, anchored: false, checkpoints: { last: { seq: live.body.seq } } },
      })
      const dropped = cx.file(
        'dropped.ndjson',
        lines
          .toSpliced(2, 1)
          .map((line) => `${line}\n`)
          .join(''),
      )
      t.match(await verify(cx, dropped, ...strict), {
        status: 1,
        report: { ok: false, problems: [{ seq: 3, what: /record 3 is missing here: dropped/ }] },
      })
      const cut = cx.file(
        'cut.ndjson',
        lines
          .slice(0, -1)
          .map((line) => `${line}\n`)
          .join(''),
      )
      t.match(await verify(cx, cut, ...strict), {
        status: 1,
        report: { problems: [{ what: /truncated/ }, { what: /no checkpoint here/ }] },
      })
      t.match(await verify(cx, cut, '--task', one.id), { status: 0, report: { isSealed: false } })
    },
  )

  scenario(
    t,
    'R56: an anchor shows a cut end that nothing else shows, and openssl checks it',
    options,
    async (cx, t) => {
      const task = await makeTask(cx)
      for (let count = 0; count < 3; count++) await getAs(cx, task, url)
      const made = await api(cx, 'POST', '/v1/checkpoints', {})
      t.equal(made.status, 200)
      const checkpoint: CheckpointJson = made.body
      const anchor = cx.file('anchor.json', JSON.stringify(checkpoint))
      const [key] = await keysOf(cx)
      const { kty = '', crv = '', x = '' } = key ?? {}
      const pem = createPublicKey({ key: { kty, crv, x }, format: 'jwk' })
      const keyFile = cx.file('key.pem', pem.export({ type: 'spki', format: 'pem' }).toString())
      const signed = cx.file(
        'signed.txt',
        `sallyport checkpoint 1\njournal ${checkpoint.journal}\nseq ${checkpoint.seq}\nhash sha256:${checkpoint.hash}\ntime ${checkpoint.time}\nkey ${checkpoint.key}\n`,
      )
      const signature = path.join(cx.directory, 'signature.bin')
      writeFileSync(signature, Buffer.from(checkpoint.signature, 'base64url'))
      const openssl = spawnSync(
        'openssl',
        [
          'pkeyutl',
          '-verify',
          '-pubin',
          '-inkey',
          keyFile,
          '-rawin',
          '-in',
          signed,
          '-sigfile',
          signature,
        ],
        { encoding: 'utf8' },
      )
      t.match(openssl.stdout, /Verified Successfully/)
      const named = spawnSync('sha256sum', {
        input: linesOf(cx)[checkpoint.seq - 1] ?? '',
        encoding: 'utf8',
      })
      t.equal(named.stdout.slice(0, 64), checkpoint.hash)
      await cx.stop()
      const dir = path.join(cx.directory, 'journal')
      t.match(await verify(cx, dir, '--anchor', anchor, '--key', keyFile), {
        status: 0,
        report: { anchored: true },
      })
      const text = await runVerify(cx, dir)
      t.equal(text.status, 0)
      t.match(text.stdout, /^tail-unanchored: the last checkpoint covers record \d+;/m)
      const [segment = ''] = segmentsOf(cx)
      const whole = readFileSync(segment, 'utf8')
      const lines = whole.split('\n').slice(0, -1)
      writeFileSync(
        segment,
        lines
          .slice(0, checkpoint.seq - 2)
          .map((line) => `${line}\n`)
          .join(''),
      )
      t.match(
        await verify(cx, dir),
        { status: 0, report: { ok: true, anchored: false } },
        'nobody sees it',
      )
      t.match(await verify(cx, dir, '--anchor', anchor), {
        status: 1,
        report: {
          anchored: false,
          problems: [{ seq: checkpoint.seq - 1, what: /truncated: records .* gone/ }],
        },
      })
      t.match(await verify(cx, dir, '--anchor', `${checkpoint.seq}:${checkpoint.hash}`), {
        status: 1,
      })
      writeFileSync(segment, whole)
      const stream = cx.file('stream.ndjson', whole)
      t.match(await verify(cx, stream, '--anchor', anchor), {
        status: 0,
        report: { anchored: true, gaps: { count: 0 } },
      })
      await cx.start()
    },
  )

  scenario(
    t,
    'R56: keys follow each other over restarts, and whoever trusts one can follow to the others',
    { ...options, limits: 'checkpointMs: 50, checkpointKeyLifetimeMs: 400' },
    async (cx, t) => {
      const first = cx.file('first.json', JSON.stringify((await keysOf(cx)).at(-1)))
      await until(async () => (await keysOf(cx)).length >= 3, 'there are three keys')
      await cx.stop()
      await cx.start()
      await until(async () => (await keysOf(cx)).length >= 5, 'there are five keys')
      const keys = await keysOf(cx)
      t.equal(keys[0]?.until, undefined)
      t.ok(keys.slice(1).every((key) => key.until !== undefined))
      await cx.stop()
      const dir = path.join(cx.directory, 'journal')
      const middle = cx.file('middle.json', JSON.stringify({ keys: [keys[2]] }))
      for (const key of [first, middle])
        t.match(await verify(cx, dir, '--key', key), {
          status: 0,
          report: { ok: true, checkpoints: { unchecked: 0 } },
        })
      const { report } = await verify(cx, dir)
      t.ok(report.checkpoints.verified >= 4)
      const stranger = cx.file(
        'stranger.json',
        JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }),
      )
      t.match(await verify(cx, dir, '--key', stranger), {
        status: 1,
        report: { problems: [{ what: /no pinned key vouches for/ }] },
      })
      await cx.start()
    },
  )

  scenario(
    t,
    'R56: kill -9 under load leaves a journal whose chains and checkpoints hold',
    {
      ...options,
      config: 'journal: { segmentBytes: 16KiB }',
      limits: 'checkpointMs: 20, checkpointRecords: 25',
    },
    async (cx, t) => {
      const tasks = [await makeTask(cx), await makeTask(cx)]
      for (let round = 0; round < 5; round++) {
        const load = { isOver: false }
        const clients = Array.from({ length: 8 }, async (_, at) => {
          const task = tasks[at % tasks.length]!
          while (!load.isOver) {
            const head = `GET ${url} HTTP/1.1\r\nHost: plain.test:${plain.port}\r\n${task.login}Connection: close\r\n\r\n`
            await cx.raw(head, 200).catch(() => undefined)
          }
        })
        const before = cx.terminal().length
        await until(() => cx.terminal().length > before + 30, 'there is load')
        await cx.stop('SIGKILL')
        load.isOver = true
        await Promise.all(clients)
        await cx.start()
        t.match(await verify(cx, path.join(cx.directory, 'journal')), {
          status: 0,
          report: { ok: true },
        })
      }
      t.ok(segmentsOf(cx).length > 3)
      for (const { id } of tasks)
        t.match(await verify(cx, path.join(cx.directory, 'journal'), '--task', id), {
          status: 0,
          report: { from: 1 },
        })
    },
  )
})
