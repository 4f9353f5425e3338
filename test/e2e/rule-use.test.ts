// What a run leaves to say of its rules: which of them no record cites, and since when.

import path from 'node:path'

import t from 'tap'

import { request, scenario, until } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

interface Problem {
  readonly file: string
  readonly code: string
  readonly message: string
}

const plain = await startHttp({ handler: () => ({ headers: ['Content-Length', '0'] }) })
t.teardown(() => plain.close())
const host = `up.test:${plain.port}`
const set = (more: string): string => `ruleset: set
owner: a@example.com
rules:
  - { id: used, allow: 'http://${host}', methods: [GET], paths: [/used], addresses: [127.0.0.0/8] }
  - { id: idle, allow: 'http://${host}', methods: [GET], paths: [/idle], addresses: [127.0.0.0/8] }
  - { id: stop, deny: 'http://${host}', paths: [/stop] }
  - { id: watch, deny: 'http://${host}', paths: [/watch], observe: true }
${more}`

scenario(
  t,
  'R43: after a run the rules that no record cites are named, with the time since when',
  {
    hosts: ['up.test'],
    ruleSets: ['set'],
    rules: { set: set(''), spare: set('').replace(': set', ': spare') },
  },
  async (cx, t) => {
    const get = (target: string): Promise<string> =>
      cx.raw(request('GET', `http://${host}${target}`, host))
    const unused = (...words: string[]): string[] => {
      const { stdout, status } = cx.run('check', '--json', '--journal', ...words)
      t.equal(status, 0)
      const { problems }: { problems: Problem[] } = JSON.parse(stdout)
      return problems
        .filter(({ code }) => ['unused-rule', 'unused-set', 'not-in-force'].includes(code))
        .map(({ file, code, message }) => `${path.basename(file)} ${code} ${message}`)
    }
    const since = (): string =>
      cx.records().findLast(({ event }) => event.action === 'rules-loaded')!['@timestamp']

    t.match(await get('/used'), /^HTTP\/1\.1 200/)
    t.match(await get('/else'), /^HTTP\/1\.1 403 Sallyport: path-not-allowed/)
    const loaded = since()
    t.same(unused(), [
      `set.yaml unused-rule no record since ${loaded} cites rule \`idle\``,
      `set.yaml unused-rule no record since ${loaded} cites rule \`stop\``,
      `spare.yaml unused-set no record since ${loaded} cites a rule of \`spare\``,
    ])

    t.match(await get('/stop'), /^HTTP\/1\.1 403 Sallyport: denied-by-rule/)
    t.match(await get('/idle'), /^HTTP\/1\.1 200/)
    t.notOk(
      unused().some((line) => line.startsWith('set.yaml')),
      'both have decided now',
    )

    cx.file('rules/set.yaml', set(`  - { id: new, deny: 'http://${host}', paths: [/new] }\n`))
    await until(() => since() !== loaded, 'the change is loaded')
    t.ok(
      unused().includes(`set.yaml unused-rule no record since ${since()} cites rule \`new\``),
      'since the set is as it is',
    )
    t.match(unused('--since', '2100-01-01').join('\n'), /unused-set no record since 2100-/)
    t.match(cx.run('check', '--journal', '/nowhere'), { status: 2, stderr: /there is no/ })
    t.match(cx.run('check', '--since', '1h'), { status: 2, stderr: /--journal/ })
  },
)
