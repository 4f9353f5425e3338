// A pipeline of three stages as an orchestrator runs it: a root task and below it prepare, execute and summarise, each with
// rules, token, CA and records of its own, each a real process that is started with the variables that the API answered and
// nothing else.

import { spawn, spawnSync } from 'node:child_process'
import { createPublicKey, verify } from 'node:crypto'

import t, { type Test } from 'tap'

import {
  scenario,
  startSecure,
  until,
  type ClientRun,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { api, makeTask, revoke, stateOf, taskDefinition, type MadeTask } from '../fixtures/tasks.ts'

const SECRET = 'tickets-secret-b7c1f05e9d'
const STAGES = ['prepare', 'execute', 'summarise'] as const
const CLIENT_TIMEOUT_MS = 30_000

type Stage = (typeof STAGES)[number]
type Env = Readonly<Record<string, string>>
/** Calls a URL as one stage does, in a process with these variables alone. */
type Program = (env: Env, method: string, url: string, ...headers: string[]) => Promise<ClientRun>

/** What a call asks for. */
interface Want {
  readonly method: string
  readonly url: string
}

/** The pipeline: its root and its stages. */
type Pipeline = Readonly<Record<'root' | Stage, MadeTask>>

// Programs by their paths: the variables of a stage hold no PATH.
const found = (command: string, ...words: string[]): string =>
  spawnSync(command, words, { encoding: 'utf8' }).stdout.trim()
const CURL = found('sh', '-c', 'command -v curl')
const PYTHON = found('python3', '-c', 'import sys; print(sys.executable)')

function run(env: Env, program: string, words: readonly string[]): Promise<ClientRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, {
      env,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: CLIENT_TIMEOUT_MS,
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, stdout, stderr }))
  })
}

const curl: Program = (env, method, url, ...headers) =>
  run(env, CURL, ['-sSv', '-X', method, ...headers.flatMap((header) => ['-H', header]), url])

const PYTHON_SCRIPT = `
import sys, urllib.request, urllib.error
method, url, *headers = sys.argv[1:]
asked = urllib.request.Request(url, method=method, headers=dict(one.split(": ") for one in headers))
try: print(urllib.request.urlopen(asked).read().decode())
except urllib.error.HTTPError as error: print(error.code, error.reason, error.read().decode())
except OSError as error: print(error)
`
const python: Program = (env, ...words) => run(env, PYTHON, ['-c', PYTHON_SCRIPT, ...words])

const NODE_SCRIPT = `
const [method, url, ...headers] = process.argv.slice(1)
try {
  const answer = await fetch(url, { method, headers: headers.map((one) => one.split(': ')) })
  console.log(answer.status, answer.statusText, await answer.text())
} catch (error) {
  for (let why = error; why; why = why.cause) console.log(why.message)
}
`
const node: Program = (env, ...words) =>
  run(env, process.execPath, ['--input-type=module', '-e', NODE_SCRIPT, ...words])

const PROGRAMS: Readonly<Record<Stage, Program>> = {
  prepare: curl,
  execute: python,
  summarise: node,
}

const upstreams = Object.fromEntries(
  await Promise.all(
    (['tickets', 'build', 'summary'] as const).map(async (name) => {
      const answer = (): { body: string } => ({ body: `${name} was reached` })
      return [name, await startSecure([`${name}.test`], answer)] as const
    }),
  ),
)
t.teardown(() => Promise.all(Object.values(upstreams).map((one) => one.close())))
const at = (name: string): string => `https://${name}.test:${upstreams[name]!.port}`

/** What each stage is for. */
const OWN: Readonly<Record<Stage, Want>> = {
  prepare: { method: 'GET', url: `${at('tickets')}/issues` },
  execute: { method: 'POST', url: `${at('build')}/jobs` },
  summarise: { method: 'PUT', url: `${at('summary')}/today` },
}

const RULES: Readonly<Record<Stage, string>> = {
  prepare: `{ id: read, allow: '${at('tickets')}', methods: [GET], credential: tickets, addresses: [127.0.0.0/8] }`,
  execute: `{ id: build, allow: '${at('build')}', methods: [POST], addresses: [127.0.0.0/8] }`,
  summarise: `{ id: write, allow: '${at('summary')}', addresses: [127.0.0.0/8] }`,
}
const file = (name: string, ...rules: readonly string[]): string =>
  `ruleset: ${name}\nowner: appsec@example.com\nrules:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`
const options = {
  expires: null,
  hosts: ['tickets.test', 'build.test', 'summary.test'],
  secrets: { TICKETS_TOKEN: SECRET },
  config: `credentials:
  tickets: { source: { env: TICKETS_TOKEN }, inject: { bearer: true }, hosts: ['tickets.test:${upstreams['tickets']!.port}'] }
`,
  rules: {
    whole: file('whole', ...Object.values(RULES)),
    prepare: file('prepare', RULES.prepare),
    execute: file('execute', RULES.execute),
    summarise: file('summarise', RULES.summarise),
    wider: file(
      'wider',
      `{ id: write, allow: '${at('tickets')}', methods: [GET, DELETE], addresses: [127.0.0.0/8] }`,
    ),
    elsewhere: file('elsewhere', `{ id: out, allow: https://evil.test }`),
  },
}

const agentOf = (stage: string): object => ({ account: stage, instance: `${stage}/1` })

async function makeStage(cx: Scenario, parent: string, stage: Stage): Promise<MadeTask> {
  return makeTask(
    cx,
    {
      intent: `To ${stage}.`,
      agent: agentOf(stage),
      sandbox: { id: stage },
      rules: [stage],
      expires: '20m',
    },
    parent,
  )
}

async function makePipeline(cx: Scenario): Promise<Pipeline> {
  const root = await makeTask(cx, {
    intent: 'Build what the tickets ask for.',
    agent: agentOf('orchestrator'),
    sandbox: { id: 'orchestrator' },
    rules: ['whole'],
  })
  return {
    root,
    prepare: await makeStage(cx, root.id, 'prepare'),
    execute: await makeStage(cx, root.id, 'execute'),
    summarise: await makeStage(cx, root.id, 'summarise'),
  }
}

const call = (pipeline: Pipeline, stage: Stage, { method, url }: Want, ...headers: string[]) =>
  PROGRAMS[stage](pipeline[stage].env, method, url, ...headers)

const text = ({ stdout, stderr }: ClientRun): string => stdout + stderr

const byTask = (cx: Scenario, { id }: MadeTask): JournalRecord[] =>
  cx.terminal().filter(({ sallyport }) => sallyport.task?.id === id)

/** Each stage that lives reaches what is its own. */
async function reachOwn(
  t: Test,
  pipeline: Pipeline,
  stages: readonly Stage[] = STAGES,
): Promise<void> {
  for (const stage of stages)
    t.match(
      text(await call(pipeline, stage, OWN[stage])),
      /was reached/,
      `${stage} reaches its own`,
    )
}

const skip = CURL === '' || PYTHON === '' ? 'curl or python3 is not installed here' : false

void t.test('a pipeline of prepare, execute and summarise', { skip }, async (t) => {
  scenario(
    t,
    'R68: each stage reaches its own destination and is refused the others’',
    options,
    async (cx, t) => {
      const advice = /Make a task:\n *npx sallyport task create --file /
      await until(() => advice.test(cx.log()), 'it says how a task is made')
      const pipeline = await makePipeline(cx)
      const secrets = STAGES.map((stage) => [pipeline[stage].token, pipeline[stage].caPem])
      t.equal(new Set(secrets.flat()).size, 6, 'a token and a CA of its own for each')
      await reachOwn(t, pipeline)
      for (const stage of STAGES) {
        for (const other of STAGES.filter((one) => one !== stage)) {
          const { hostname } = new URL(OWN[other].url)
          const upstream = upstreams[hostname.split('.')[0]!]!
          const before = upstream.connections()
          const answer = text(await call(pipeline, stage, OWN[other]))
          t.match(answer, /403/, `${stage} is refused what ${other} may`)
          // undici tells the status of a refused CONNECT alone.
          if (stage !== 'summarise') t.match(answer, /403 Sallyport: not-on-allowlist/)
          t.equal(upstream.connections(), before, 'nothing was dialed')
          await cx.record(
            ({ event, destination, sallyport }) =>
              event.reason === 'not-on-allowlist' &&
              destination?.domain === hostname &&
              sallyport.task?.id === pipeline[stage].id,
          )
        }
      }
      const { url } = OWN.prepare
      t.match(
        text(await call(pipeline, 'prepare', { method: 'DELETE', url })),
        /"reason":"method-not-allowed".*"retry":"no"[^]*403 Sallyport: method-not-allowed/,
        'beyond its method it is refused with words',
      )
      t.match(
        text(await call(pipeline, 'execute', { method: 'GET', url: OWN.execute.url })),
        /^403 Sallyport: method-not-allowed.*"reason":"method-not-allowed"/,
      )
    },
  )

  scenario(
    t,
    'R68: the credential is the preparing stage’s alone: another cannot use it, by no placeholder',
    options,
    async (cx, t) => {
      const pipeline = await makePipeline(cx)
      const seenBy = (name: string) => upstreams[name]!.seen
      const from = Object.keys(upstreams).map((name) => [name, seenBy(name).length] as const)
      await reachOwn(t, pipeline)
      t.match(pipeline.prepare.env['TICKETS_TOKEN'], /^sallyport_tickets_/)
      const login = (stage: Stage): string =>
        `Authorization: Bearer ${pipeline[stage].env['TICKETS_TOKEN']}`
      await call(pipeline, 'prepare', OWN.prepare, login('prepare'))
      t.match(
        text(await call(pipeline, 'summarise', OWN.summarise, login('summarise'))),
        /^403 Sallyport: placeholder-misused/,
        'its own placeholder is not for this host',
      )
      t.match(text(await call(pipeline, 'summarise', OWN.prepare, login('prepare'))), /403/)
      await call(pipeline, 'summarise', OWN.summarise, login('prepare'))
      for (const [name, count] of from)
        for (const { rawHeaders } of seenBy(name).slice(count))
          t.equal(
            rawHeaders.includes(`Bearer ${SECRET}`),
            name === 'tickets',
            `the secret is sent to ${name} only where it belongs`,
          )
      t.equal(seenBy('tickets').length - from.find(([name]) => name === 'tickets')![1], 2)
      for (const { sallyport, event } of cx.terminal().filter((one) => one.sallyport.credential))
        t.match({ sallyport, event }, { sallyport: { task: { id: pipeline.prepare.id } } })
      const { body } = await api(cx, 'GET', `/v1/tasks/${pipeline.summarise.id}`)
      t.strictSame(body.credentials, [])
    },
  )

  scenario(
    t,
    'R70: every record names the stage and the chain above it; a stage cannot widen what it was given',
    options,
    async (cx, t) => {
      const pipeline = await makePipeline(cx)
      await reachOwn(t, pipeline)
      await call(pipeline, 'execute', OWN.prepare)
      for (const stage of STAGES) {
        const task = pipeline[stage]
        await until(() => byTask(cx, task).length >= 2, 'tunnel and call are on record')
        for (const { sallyport } of byTask(cx, task))
          t.match(sallyport.task, {
            id: task.id,
            path: [pipeline.root.id, task.id],
            agent: stage,
            instance: `${stage}/1`,
            owner: 'ann',
            intent: /^sha256:[0-9a-f]{64}$/,
            autonomous: false,
            delegation: [{ task: pipeline.root.id, owner: 'ann', intent: /^sha256:[0-9a-f]{64}$/ }],
          })
        const log = await api(cx, 'GET', `/v1/calls?task=${task.id}`)
        for (const { sallyport } of log.body.calls) t.equal(sallyport.task.id, task.id)
      }
      t.equal(byTask(cx, pipeline.root).length, 0, 'the root called nobody')
      const widening = (changes: object) =>
        api(
          cx,
          'POST',
          `/v1/tasks/${pipeline.root.id}/children`,
          taskDefinition({ expires: '10m', ...changes }),
        )
      for (const [axis, field, changes] of [
        ['methods', '/rules', { rules: ['wider'] }],
        ['host', '/rules', { rules: ['elsewhere'] }],
        ['expiry', '/expires', { rules: ['prepare'], expires: '2h' }],
        ['environment', '/environment', { rules: ['prepare'], environment: 'prod' }],
        ['ceiling', '/ceiling', { rules: ['prepare'], ceiling: 'restricted' }],
      ] as const)
        t.match(await widening(changes), {
          status: 403,
          body: { reason: 'delegation-widening', field, detail: new RegExp(`^axis ${axis}: `) },
        })
      // A stage of a stage: the chain is three long, and the third may less than the second.
      const below = await makeTask(
        cx,
        { rules: ['prepare'], expires: '10m', depth: 0 },
        pipeline.prepare.id,
      )
      t.match(await curl(below.env, 'GET', OWN.prepare.url), { stdout: 'tickets was reached' })
      const path = [pipeline.root.id, pipeline.prepare.id, below.id]
      await until(() => byTask(cx, below).length === 2, 'its calls are on record')
      for (const { sallyport } of byTask(cx, below)) t.strictSame(sallyport.task?.path, path)
      t.match(
        await api(
          cx,
          'POST',
          `/v1/tasks/${below.id}/children`,
          taskDefinition({ rules: ['prepare'], expires: '5m' }),
        ),
        { status: 403, body: { reason: 'delegation-widening', detail: /^axis depth: / } },
      )
    },
  )

  scenario(
    t,
    'R71: ending a stage leaves the others; ending the root ends all, and its receipt names them',
    options,
    async (cx, t) => {
      const pipeline = await makePipeline(cx)
      await reachOwn(t, pipeline)
      t.match(await revoke(cx, pipeline.execute.id), { cause: 'revoked', complete: true })
      t.match(text(await call(pipeline, 'execute', OWN.execute)), /403 Sallyport: task-ended/)
      await reachOwn(t, pipeline, ['prepare', 'summarise'])
      t.equal(await stateOf(cx, pipeline.root.id), 'active')
      const receipt = await revoke(cx, pipeline.root.id, 'done')
      t.strictSame(
        receipt.items
          .filter(({ kind }) => kind === 'child')
          .map(({ name, outcome }) => [name, outcome]),
        STAGES.map((stage) => [pipeline[stage].id, 'ended']),
      )
      t.match(receipt, { task: pipeline.root.id, cause: 'revoked', reason: 'done', complete: true })
      t.ok(await isSigned(cx, receipt), 'its signature holds by the key of /v1/keys')
      t.match(text(await call(pipeline, 'prepare', OWN.prepare)), /403 Sallyport: task-ended/)
      t.match(text(await call(pipeline, 'summarise', OWN.summarise)), /403/)
      t.match(
        text(await curl(pipeline.root.env, 'GET', OWN.prepare.url)),
        /403 Sallyport: task-ended/,
      )
      await until(
        () => byTask(cx, pipeline.summarise).some(({ event }) => event.reason === 'task-ended'),
        'the refusal of the last stage is on record',
      )
      t.match(await api(cx, 'GET', `/v1/tasks/${pipeline.prepare.id}`), {
        body: { state: 'ended', cause: 'parent-ended', receipt: { complete: true } },
      })
    },
  )
})

async function isSigned(cx: Scenario, receipt: object): Promise<boolean> {
  const { signature, ...rest } = JSON.parse(JSON.stringify(receipt))
  const { body } = await api(cx, 'GET', '/v1/keys')
  const jwk = body.keys.find(({ kid }: { kid: string }) => kid === signature.key)
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const value = Buffer.from(signature.value, 'base64url')
  return verify(null, Buffer.from(JSON.stringify(rest)), key, value)
}
