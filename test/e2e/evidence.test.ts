// R81: an auditor answers who, what, when, why and under which rule from one file and one public key, without the sidecar. What
// is not as it was written is named, member by member; a hostile file does no harm.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import t, { type Test } from 'tap'

import { connectMcp } from '../fixtures/mcp-client.ts'
import { startMcp } from '../fixtures/mcp-upstream.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { pki, scenario, sleep, startSecure, until, type Scenario } from '../fixtures/scenario.ts'
import { api, makeTask, revoke, type MadeTask } from '../fixtures/tasks.ts'
import { pack, unpack } from '../fixtures/tar.ts'

const BIN = path.join(import.meta.dirname, '../../bin/sallyport.js')
const LOOPBACK = 'addresses: [127.0.0.0/8]'
const web = await startSecure(['web.test'], () => ({ body: 'here' }))
const mcp = await startMcp(pki.issue({ names: ['mcp.test'] }))
t.teardown(() => Promise.all([web, mcp].map((one) => one.close())))
const at = { web: `web.test:${web.port}`, mcp: `mcp.test:${mcp.port}` }

const RULES = {
  audit: `ruleset: audit
owner: appsec@example.com
params:
  repo: { pattern: '[\\w.-]+/[\\w.-]+' }
rules:
  - { id: repos, allow: 'https://${at.web}', methods: [GET, POST], paths: ['/repos/{repo}/**'], credential: api, ${LOOPBACK} }
  - { id: issues, allow: 'https://${at.mcp}', methods: [GET, POST, DELETE], tools: [list_*], ${LOOPBACK} }
`,
  stage: `ruleset: stage
owner: appsec@example.com
rules:
  - { id: one, allow: 'https://${at.web}', methods: [GET], paths: [/repos/acme/widgets/issues], ${LOOPBACK}, credential: api }
`,
  guard: `ruleset: guard
owner: appsec@example.com
rules:
  - { id: no-secrets, deny: 'https://${at.web}', paths: ['/repos/*/*/secrets/**'] }
`,
}
const SECRET = 'evidence-canary-5f1c9d2b7a'
const options = {
  expires: null,
  hosts: ['web.test', 'mcp.test'],
  rules: RULES,
  secrets: { API_TOKEN: SECRET },
  config: `rules: { always: [guard] }
credentials:
  api: { source: { env: API_TOKEN }, inject: { bearer: true }, hosts: ['${at.web}'] }
`,
}

interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** An auditor's own machine: nothing in it but what was handed over. */
class Auditor {
  readonly dir: string = mkdtempSync(path.join(tmpdir(), 'sallyport-audit-'))

  constructor(t: Test, bundle: Buffer, key: string) {
    t.teardown(() => rmSync(this.dir, { recursive: true, force: true }))
    this.write('evidence.tar', bundle)
    this.write('key.jwk', key)
  }

  write(name: string, bytes: string | Buffer): void {
    writeFileSync(path.join(this.dir, name), bytes)
  }

  verify(file = 'evidence.tar', ...words: readonly string[]): Ran {
    const given = words.length > 0 ? words : ['--key', 'key.jwk']
    return this.run(process.execPath, BIN, 'verify', file, ...given)
  }

  run(command: string, ...words: readonly string[]): Ran {
    return spawnSync('env', ['-u', 'NODE_OPTIONS', command, ...words], {
      cwd: this.dir,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1' },
    })
  }
}

/** What a task of two stages does: allowed and refused calls, messages, a credential. */
async function work(cx: Scenario): Promise<{ readonly task: MadeTask; readonly child: MadeTask }> {
  const task = await makeTask(cx, {
    rules: ['audit'],
    params: { repo: 'acme/widgets' },
    owner: { name: 'ann', team: 'payments' },
    principal: 'bob@example.com',
  })
  const child = await makeTask(cx, { rules: ['stage'], expires: '20m' }, task.id)
  for (const one of [task, child]) {
    const through = proxiedFetch(cx, one)
    for (const [method, where] of [
      ['GET', 'issues'],
      ['DELETE', 'issues'],
      ['GET', 'secrets/1'],
      ['POST', 'issues'],
    ] as const)
      await through
        .fetch(`https://${at.web}/repos/acme/widgets/${where}`, { method })
        .then((response) => response.text())
    await through.fetch('https://evil.test/').catch(() => undefined)
    await through.close()
  }
  const client = await connectMcp(cx, { way: 'stateless', host: at.mcp, task })
  await client.callTool('list_issues', {})
  await client.callTool('delete_issue', { id: 'PAY-1' }).catch(() => undefined)
  await client.close()
  return { task, child }
}

async function keyOf(cx: Scenario): Promise<string> {
  const { body } = await api(cx, 'GET', '/v1/checkpoints')
  return JSON.stringify(body.keys[0])
}

function make(cx: Scenario, t: Test, ...words: readonly string[]): Buffer {
  const out = path.join(cx.directory, 'evidence.tar')
  const { status, stdout, stderr } = cx.run('evidence', '--out', out, ...words)
  t.equal(status, 0, stdout + stderr)
  t.comment(stdout)
  return readFileSync(out)
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

scenario(
  t,
  'R81: an auditor answers who, what, when, why and under which rule offline',
  options,
  async (cx, t) => {
    const { task, child } = await work(cx)
    await revoke(cx, task.id, 'done')
    await until(
      () =>
        cx
          .records()
          .some(
            ({ event, sallyport }) =>
              event.action === 'task-sealed' && sallyport.task?.id === task.id,
          ),
      'the task is sealed',
    )
    const tar = make(cx, t, task.id)
    const auditor = new Auditor(t, tar, await keyOf(cx))
    cx.guard('the secret', SECRET)
    t.notOk(tar.includes(SECRET), 'no secret is in it')

    const verified = auditor.verify()
    t.equal(verified.status, 0, verified.stdout + verified.stderr)
    t.match(
      verified.stdout,
      /^intact: \d+ records, 2 chains, 2 sealed, \d+ decisions made again and the same, [01] /m,
    )
    t.notMatch(verified.stdout, /tail-unanchored/)
    t.notMatch(verified.stdout, /note/)

    const members = unpack(tar)
    const text = (name: string): string =>
      members.find((one) => one.name === name)!.bytes.toString()
    const rows = text('decisions.ndjson')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    t.match(
      rows.find(
        ({ url, decision, correlation }) =>
          url?.endsWith('/issues') && decision === 'allow' && correlation.task === task.id,
      ),
      {
        agent: /^bot\//,
        owner: 'ann',
        subject: 'bob@example.com',
        resource: /\/issues$/,
        action: 'call-ended GET',
        posture: { proofs: Array },
        remediation: 'none',
        time: /^20/,
        method: 'GET',
        rule: 'audit/repos',
        reason: 'allowed',
        credential: 'api',
        status: 200,
      },
      'who, what, when, and with what',
    )
    const refused = rows.find(({ url }) => url?.endsWith('/secrets/1'))
    t.match(
      refused,
      { decision: 'deny', reason: 'denied-by-rule', rule: 'guard/no-secrets' },
      'why',
    )
    const seven = ['agent', 'subject', 'resource', 'action', 'decision', 'time', 'correlation']
    for (const row of rows)
      for (const name of [...seven, 'posture', 'remediation'])
        t.ok(row[name], `R57: ${name} is in every decision`)
    t.match(
      text(`rules/${refused.version.slice(7)}.yaml`),
      'id: no-secrets',
      'under which rule, in its own words',
    )
    t.match(
      rows.find(({ tool }) => tool === 'delete_issue'),
      { decision: 'deny', reason: 'tool-not-allowed' },
      'which tool',
    )
    const inventory = JSON.parse(text('inventory.json'))
    t.match(inventory.tasks[0], {
      id: task.id,
      sandbox: { id: /^box-/ },
      agent: { account: 'bot' },
      owner: { name: 'ann', team: 'payments' },
      definition: { rules: ['audit'], params: { repo: 'acme/widgets' } },
      life: [{ action: 'task-created', actor: 'administrator' }],
    })
    t.match(inventory.tasks[1], { id: child.id, parent: task.id })
    t.match(JSON.parse(text('receipt.json')), { task: task.id, complete: true, cause: 'revoked' })
    t.match(JSON.parse(text('seal.json')), { task: task.id, final: true })
    t.match(JSON.parse(text('manifest.json')), { scope: { task: task.id }, missing: [] })
    const { controls } = JSON.parse(text('controls.json'))
    const control = (id: string): object =>
      controls.find(({ ids }: { ids: string[] }) => ids.some((each) => each.startsWith(id)))
    t.match(control('ASI02'), {
      level: 'E',
      isShown: true,
      evidence: { denial: { records: Number } },
    })
    t.match(control('ASI09'), { level: 'P' }, 'a level that says less')
    t.match(control('ASI06'), { level: 'R' })
    t.match(control('NHI8:2025'), { isShown: false, evidence: { environment: { records: 0 } } })
    t.match(text('controls.md'), /\| NHI8:2025 Environment Isolation +\| E \| .* \| none \|/)

    await t.test('by hand, with what is on every machine', async (t) => {
      t.equal(auditor.run('tar', '-xf', 'evidence.tar').status, 0)
      const { journal, seq, hash, time, key, signature } = JSON.parse(text('seal.json'))
      const { x } = JSON.parse(await keyOf(cx))
      const der = Buffer.concat([
        Buffer.from('302a300506032b6570032100', 'hex'),
        Buffer.from(x, 'base64url'),
      ])
      auditor.write(
        'key.pem',
        `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`,
      )
      auditor.write(
        'text',
        `sallyport checkpoint 1\njournal ${journal}\ntask ${task.id}\nseq ${seq}\nhash sha256:${hash}\ntime ${time}\nfinal\nkey ${key}\n`,
      )
      auditor.write('signature', Buffer.from(signature, 'base64url'))
      const checked = auditor.run(
        'openssl',
        'pkeyutl',
        '-verify',
        '-pubin',
        '-inkey',
        'key.pem',
        '-rawin',
        '-in',
        'text',
        '-sigfile',
        'signature',
      )
      t.match(checked.stdout, /Signature Verified Successfully/, checked.stderr)
      t.equal(auditor.verify('evidence.tar', '--key', 'key.pem').status, 0, 'the key as PEM')
      const lines = text('records.ndjson').split('\n')
      const sealed = lines.find((line) => {
        if (line === '') return false
        const { sallyport } = JSON.parse(line)
        return sallyport.task.id === task.id && sallyport.chain.task.seq === seq
      })
      t.equal(sha256(Buffer.from(sealed!)), hash, 'the seal states the line')
    })

    await t.test('each member that is not as it was written is named', (t) => {
      for (const [index, { name, bytes: written }] of members.entries()) {
        if (written.length === 0) continue
        const bytes = Buffer.from(written)
        bytes[bytes.length >> 1]! ^= 1
        auditor.write('broken.tar', pack(members.with(index, { name, bytes })))
        const ran = auditor.verify('broken.tar')
        t.equal(ran.status, 1, `${name} is changed`)
        t.match(ran.stdout, name === 'manifest.json' ? /manifest|is not what|lists it/ : name)
      }
      t.end()
    })
    // Connections that were closed while the verbs above ran are noticed now.
    await sleep(50)
  },
)

scenario(
  t,
  'a task that goes on is covered by a checkpoint that is made for it',
  options,
  async (cx, t) => {
    const { task } = await work(cx)
    const key = await keyOf(cx)
    const auditor = new Auditor(t, make(cx, t, task.id, '--framework', 'asi'), key)
    const { status, stdout } = auditor.verify()
    t.equal(status, 0, stdout)
    t.match(stdout, /^note: receipt\.json: the task has not ended/m)
    t.match(stdout, /^note: seal\.json: /m)
    t.notMatch(stdout, /tail-unanchored/)
    t.match(stdout, /2 chains, 0 sealed/)
    const read = JSON.parse(auditor.verify('evidence.tar', '--key', 'key.jwk', '--json').stdout)
    t.match(read, { ok: true, keys: 'given', manifest: { frameworks: ['asi'] } })
    t.match(auditor.verify('evidence.tar', '--json'), { status: 0 }, 'without a key it says so')
    t.match(auditor.verify('evidence.tar', '--json').stdout, /keys of the bundle alone/)
    const period = new Auditor(t, make(cx, t, '--since', '1h'), key)
    const whole = period.verify()
    t.equal(whole.status, 0, whole.stdout)
    t.match(whole.stdout, /^intact: \d+ records, 1 chain, 0 sealed/m)
    t.match(cx.run('evidence', 't_none', '--out', path.join(cx.directory, 'none.tar')), {
      status: 1,
    })
    t.match(cx.run('evidence'), { status: 2, stderr: /needs a task/ })
    t.match(cx.run('evidence', task.id, '--since', '1h'), { status: 2, stderr: /proves nothing/ })
    t.match(cx.run('evidence', task.id, '--framework', 'iso'), {
      status: 2,
      stderr: /known are asi/,
    })
    const off = path.join(cx.directory, 'off.tar')
    const other = cx.run('evidence', task.id, '--control', '127.0.0.1:1', '--out', off)
    t.match(other, { status: 0 }, 'a sidecar that does not answer is not needed')
    // Connections that were closed while the verbs above ran are noticed now.
    await sleep(50)
  },
)
