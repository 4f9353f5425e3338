// R80: a workload that is observed, the rules that are suggested for it, and the same workload under them.

import { rmSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { connectMcp } from '../fixtures/mcp-client.ts'
import { startMcp } from '../fixtures/mcp-upstream.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { pki, request, scenario, startSecure, until, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const web = await startSecure(['web.test', 'extra.test'], () => ({ body: 'here' }))
const plain = await startHttp({ handler: () => ({ body: 'plain' }) })
const mcp = await startMcp(pki.issue({ names: ['mcp.test'] }))
t.teardown(async () => {
  for (const one of [web, plain, mcp]) await one.close()
})
const here = `https://web.test:${web.port}`
const upstream = `upstream:
  ca: [upstream-ca.pem]
  allowAddresses: [127.0.0.0/8]
  hosts: { web.test: ['127.0.0.1'], extra.test: ['127.0.0.1'], plain.test: ['127.0.0.1'], mcp.test: ['127.0.0.1'] }
`

/** What the workload does; gives how each call was answered. */
async function work(cx: Scenario): Promise<(number | string)[]> {
  const through = proxiedFetch(cx)
  const ask = (method: string, url: string): Promise<number | string> =>
    through.fetch(url, { method }).then(
      async (response) => {
        await response.text()
        return response.status
      },
      () => 'refused',
    )
  const answers = [
    await ask('GET', `${here}/items/1`),
    await ask('GET', `${here}/items/2?page=3&token=abcdefgh`),
    await ask('GET', `${here}/items/33`),
    await ask('POST', `${here}/items`),
    await ask('GET', `${here}/it's%20here/%C3%A9`),
    await ask('HEAD', `${here}/a:%20-%20b`),
  ]
  await through.close()
  const forwarded = await cx.raw(
    request(
      'GET',
      'http://plain.test:PORT/'.replace('PORT', String(plain.port)),
      `plain.test:${plain.port}`,
    ),
  )
  return [...answers, forwarded.slice(9, 12)]
}

scenario(
  t,
  'R80: what was observed, suggested and put in force passes; one call more is denied',
  {
    config: upstream,
    rules: {
      set: `ruleset: set
owner: appsec@example.com
rules:
  - { id: watched, allow: ['https://*:${web.port}', 'http://*:${plain.port}'], observe: true }
  - { id: never, deny: '${here}', paths: ['/admin/**'] }
`,
    },
  },
  async (cx, t) => {
    const passed = [200, 200, 200, 200, 200, 200, '200']
    t.strictSame(await work(cx), passed, 'observed')
    const through = proxiedFetch(cx)
    await through.fetch(`${here}/admin/users`).then((response) => response.text())
    await through.fetch(`https://127.0.0.1:${web.port}/`).catch(() => undefined)
    await through.close()
    await until(
      () => cx.terminal().filter(({ sallyport }) => sallyport.call?.kind !== 'tunnel').length >= 8,
      'all is on record',
    )
    const suggested = cx.run('suggest', 'journal', '--observed', '--name', 'set')
    t.equal(suggested.status, 0, suggested.stderr)
    t.match(suggested.stdout, /paths:\n(?: {6}- .*\n)*? {6}- '\/items\/\*'\n/)
    t.match(suggested.stdout, /not suggested: 1 x denied-by-rule: /)
    t.notMatch(suggested.stdout, /token|page/, 'nothing of a query')

    cx.file('rules/set.yaml', suggested.stdout)
    t.match(cx.run('test', 'rules'), { status: 0, stdout: /passed/ })
    t.equal(cx.run('check', 'rules').status, 0)
    t.match(cx.run('replay', 'journal', '--rules', 'rules', '--json'), { status: 0 })
    t.match(cx.run('rules', 'reload'), { status: 0, stdout: /changed/ })

    t.strictSame(await work(cx), passed, 'enforced')
    const more = proxiedFetch(cx)
    const other = await more.fetch(`${here}/other`)
    t.equal(other.status, 403)
    t.match(await other.json(), { reason: 'path-not-allowed' })
    const deleted = await more.fetch(`${here}/items/1`, { method: 'DELETE' })
    t.match(await deleted.json(), { reason: 'method-not-allowed' })
    await t.rejects(more.fetch(`https://extra.test:${web.port}/`), 'no other host')
    await more.close()
  },
)

scenario(
  t,
  'what was denied is suggested too: tools by their names; where nothing was, that is the answer',
  {
    config: upstream,
    rules: {
      set: `ruleset: set
owner: appsec@example.com
rules:
  - { id: mcp, allow: 'https://mcp.test:${mcp.port}', tools: [get_*] }
`,
    },
  },
  async (cx, t) => {
    t.match(cx.run('suggest', 'journal'), { status: 1, stdout: /rules: \[\]\n/ })
    t.match(cx.run('suggest', 'nowhere'), { status: 2, stderr: /no nowhere/ })
    t.match(cx.run('suggest', 'journal', '--name', 'a b'), { status: 2, stderr: /no name/ })
    const client = await connectMcp(cx, { way: 'sessions', host: `mcp.test:${mcp.port}` })
    await client.callTool('delete_issue', { id: 'PAY-1' }).catch(() => undefined)
    await client.close()
    const through = proxiedFetch(cx)
    await through.fetch('https://unseen.test/').catch(() => undefined)
    await through.close()
    await cx.record(({ url }) => url?.domain === 'unseen.test')
    await cx.message(({ event }) => event.reason === 'tool-not-allowed')
    const { stdout } = cx.run('suggest', 'journal')
    t.match(stdout, /tools:\n {6}- 'delete_issue'\n/)
    t.match(stdout, /allow: 'https:\/\/unseen\.test'\n {4}methods: \['GET', 'HEAD'\]\n/)
    t.match(stdout, /call: 'CONNECT unseen\.test:443'/)
    rmSync(path.join(cx.directory, 'rules/set.yaml'))
    cx.file('rules/suggested.yaml', stdout)
    t.match(cx.run('test', 'rules'), { status: 0 })
    t.equal(cx.run('check', 'rules').status, 0)
    const json = cx.run('suggest', 'journal', '--json')
    t.match(JSON.parse(json.stdout), { ruleset: 'suggested', rules: [{}, {}], text: stdout })
    const none = cx.run('suggest', 'journal', '--task', 't_none')
    t.equal(none.status, 1)
  },
)
