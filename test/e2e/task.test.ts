// The one static task of a sidecar: who is it, how long does it live, and what ends with it.

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import net, { type Socket } from 'node:net'
import path from 'node:path'

import t, { type Test } from 'tap'

import {
  exchange,
  readHead,
  request,
  ruleSet,
  scenario,
  startSecure,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { startEcho, startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'

const actions = (cx: Scenario, action: string): JournalRecord[] =>
  cx.records().filter(({ event }) => event.action === action)

/** The id under which calls are recorded. */
const taskOf = (cx: Scenario): string | undefined =>
  cx.terminal().findLast(({ event }) => event.reason === 'allowed')?.sallyport.task?.id

/** Makes a call that is allowed and waits for its record. */
async function pass(cx: Scenario, t: Test, get: string): Promise<void> {
  const before = cx.terminal().length
  t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
  await until(() => cx.terminal().length > before, 'the call is on record')
}

/** Changes the configuration for the next start. */
function edit(cx: Scenario, change: (text: string) => string): void {
  writeFileSync(cx.configFile, change(readFileSync(cx.configFile, 'utf8')))
}

function closed(socket: Socket): Promise<void> {
  socket.on('error', () => undefined)
  socket.resume()
  return new Promise((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
}

void t.test('the static task', async (t) => {
  const up = await startHttp({ handler: () => ({ body: 'ok' }) })
  const sec = await startSecure(['sec.test'], () => ({ body: 'ok' }))
  const echo = await startEcho()
  const slow = await startHttp({
    raw: (_request, response) => {
      response.writeHead(200)
      response.write('begun')
      const timer = setInterval(() => response.write('more'), 50)
      response.on('close', () => clearInterval(timer))
    },
  })
  t.teardown(() => Promise.all([up, sec, echo, slow].map((one) => one.close())))
  const at = {
    up: `up.test:${up.port}`,
    sec: `sec.test:${sec.port}`,
    echo: `echo.test:${echo.port}`,
    slow: `slow.test:${slow.port}`,
  }
  const hosts = ['up.test', 'sec.test', 'echo.test', 'slow.test']
  const rules = ruleSet(
    `id: up, allow: 'http://${at.up}', ${LOOPBACK}`,
    `id: sec, allow: 'https://${at.sec}', ${LOOPBACK}`,
    `id: echo, allow: 'tcp://${at.echo}', ${LOOPBACK}`,
    `id: slow, allow: 'http://${at.slow}', ${LOOPBACK}`,
  )
  const options = { hosts, rules }
  const get = request('GET', `http://${at.up}/`, at.up)

  scenario(
    t,
    'its id comes from its definition: restarts keep it, a change makes another task',
    options,
    async (cx, t) => {
      await pass(cx, t, get)
      const first = taskOf(cx)
      t.match(first, /^t_[0-9a-z]{26}$/)
      await cx.stop()
      await cx.start()
      await pass(cx, t, get)
      t.equal(taskOf(cx), first)
      t.equal(actions(cx, 'task-created').length, 1)
      await cx.stop()
      edit(cx, (text) => text.replace('intent: e2e', 'intent: another'))
      await cx.start()
      await pass(cx, t, get)
      t.not(taskOf(cx), first)
      t.equal(actions(cx, 'task-created').length, 2)
      t.match(cx.terminal().at(-1), {
        sallyport: {
          task: {
            id: String,
            path: [taskOf(cx)],
            agent: 'agent',
            instance: 'agent/1',
            owner: 'Test Owner',
            team: 'test',
            sandbox: 'box',
            intent: /^sha256:/,
          },
        },
      })
    },
  )

  scenario(
    t,
    'I5: when it expires all of it ends: streams and tunnels are cut, new calls refused, over restarts too',
    { ...options, expires: '3s' },
    async (cx, t) => {
      const created = Date.parse(actions(cx, 'task-created')[0]!['@timestamp'])
      const stream = net.connect(cx.proxyPort, '127.0.0.1')
      stream.write(request('GET', `http://${at.slow}/`, at.slow))
      t.match(await readHead(stream), /^HTTP\/1\.1 200/)
      const tunnel = await cx.connect(at.echo)
      const kept = await cx.secure(at.sec)
      kept.write(request('GET', '/', at.sec, { keep: true }))
      t.match(await readHead(kept), /^HTTP\/1\.1 200/)
      await Promise.all([closed(stream), closed(tunnel), closed(kept)])
      const late = Date.now() - created - 3000
      t.ok(late > -500 && late < 2000, `cut ${late} ms after its time`)
      for (const domain of ['slow.test', 'echo.test'])
        await cx.record(
          ({ event, url }) => event.reason === 'task-ended-midway' && url?.domain === domain,
        )
      await until(() => slow.open() === 0 && echo.open() === 0, 'nothing is open upstream')
      const before = up.seen.length
      t.match(await cx.raw(get), /^HTTP\/1\.1 403 Sallyport: task-ended/)
      await t.rejects(cx.connect(at.echo), /403 Sallyport: task-ended/)
      await cx.stop()
      await cx.start()
      t.match(await cx.raw(get), /^HTTP\/1\.1 403 Sallyport: task-ended/, 'it stays ended')
      t.equal(up.seen.length, before)
      t.equal(actions(cx, 'task-ended').length, 1)
      t.match(
        await cx.record(({ event }) => event.reason === 'task-ended'),
        { sallyport: { detail: { task: actions(cx, 'task-ended')[0]!.sallyport.task?.id } } },
        'refusals say whose task it was',
      )
      t.equal(
        await fetch(`http://127.0.0.1:${cx.healthPort}/readyz`).then(({ status }) => status),
        503,
      )
      await cx.stop()
      await cx.start('--renew')
      // `--renew` begins it anew.
      await pass(cx, t, get)
      t.equal(actions(cx, 'task-renewed').length, 1, 'and that is on record')
      t.equal(actions(cx, 'task-renewed')[0]!.sallyport.task?.id, taskOf(cx))
    },
  )

  scenario(
    t,
    'a definition that changed after the end is another task, and it may go on',
    { ...options, expires: '1s' },
    async (cx, t) => {
      await until(
        async () => (await cx.raw(get)).startsWith('HTTP/1.1 403 Sallyport: task-ended'),
        'it has ended',
      )
      await cx.stop()
      edit(cx, (text) => text.replace('expires: 1s', 'expires: 10m'))
      await cx.start()
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
    },
  )

  scenario(
    t,
    'I5: a pinned rule set holds only as the very one that was pinned',
    options,
    async (cx, t) => {
      await pass(cx, t, get)
      const version = cx.terminal().at(-1)!.rule!.version
      await cx.stop()
      edit(cx, (text) => text.replace('rules: [set]', `rules: ['set@${version}']`))
      await cx.start()
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
      const loaded = actions(cx, 'rules-loaded').length
      cx.file('rules/set.yaml', 'ruleset: set\nrules: []\n')
      await until(() => actions(cx, 'rules-loaded').length > loaded, 'another one is in force')
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/, 'the task goes on with its own')
      await cx.stop()
      rmSync(path.join(cx.directory, 'state/rules'), { recursive: true })
      await cx.start()
      t.match(await cx.raw(get), /^HTTP\/1\.1 503 Sallyport: policy-unavailable/, 'it is gone')
      await t.rejects(cx.connect(at.echo), /503 Sallyport: policy-unavailable/)
      cx.file('rules/set.yaml', rules['set']!)
      await until(async () => (await cx.raw(get)).startsWith('HTTP/1.1 200'), 'it is back')
    },
  )

  for (const [range, expected] of [
    ['10.0.0.0/8', /^HTTP\/1\.1 403 Sallyport: unknown-client/],
    ['127.0.0.0/8', /^HTTP\/1\.1 200/],
  ] as const)
    scenario(t, `a client is asked for its address: sources ${range}`, options, async (cx, t) => {
      await cx.stop()
      edit(cx, (text) =>
        text.replace('  sandbox:', `  identity: { sources: [${range}] }\n  sandbox:`),
      )
      await cx.start()
      const before = up.seen.length
      t.match(await cx.raw(get), expected)
      t.match(
        await cx.raw(get.replace('\r\n\r\n', '\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n')),
        expected,
        'not for what it says of itself',
      )
      t.equal(up.seen.length - before, range.startsWith('10') ? 0 : 2)
    })

  scenario(t, 'a unix socket is a door as well', options, async (cx, t) => {
    await cx.stop()
    edit(cx, (text) => text.replace(/proxy: '[^']*'/, "proxy: 'unix:state/proxy.sock'"))
    await cx.start()
    const door = path.join(cx.directory, 'state/proxy.sock')
    t.match(await exchange(net.connect(door), get), /^HTTP\/1\.1 200/)
    t.match(
      await exchange(net.connect(door), request('GET', 'http://no.test/', 'no.test')),
      /^HTTP\/1\.1 403 Sallyport: not-on-allowlist/,
    )
    await cx.stop('SIGKILL')
    await cx.start()
    t.match(
      await exchange(net.connect(door), get),
      /^HTTP\/1\.1 200/,
      'also where a crash left the socket behind',
    )
  })

  scenario(
    t,
    'R83: two different hidden rules refuse alike, for a program to read, and tell nothing of themselves',
    {
      hosts,
      rules: ruleSet(
        `id: up, allow: 'http://${at.up}', ${LOOPBACK}`,
        `id: hidden-one, deny: 'http://up.test', paths: [/private/**]`,
        `id: hidden-two, deny: 'http://up.test', paths: ['/*/secret'], methods: [GET]`,
      ),
    },
    async (cx, t) => {
      const shape = async (target: string): Promise<string> => {
        const answer = await cx.raw(request('GET', `http://${at.up}${target}`, at.up))
        t.match(answer, /^HTTP\/1\.1 403 Sallyport: denied-by-rule\r\n/)
        t.match(answer, /\r\nProxy-Status: sallyport; error=\S+; reason=denied-by-rule\r\n/)
        t.match(answer, /\r\nContent-Type: application\/problem\+json\r\n/)
        t.match(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)), {
          type: 'urn:sallyport:reason:denied-by-rule',
          status: 403,
          retry: 'no',
        })
        t.notMatch(answer, /hidden|private|secret|ruleset/)
        return answer.replaceAll(/"call":"[0-9A-Z]{26}"/g, '')
      }
      t.equal(await shape('/private/x'), await shape('/x/secret'))
      t.match(await cx.raw(get), /^HTTP\/1\.1 200/)
    },
  )
})
