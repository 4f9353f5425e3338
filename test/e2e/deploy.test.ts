// Holds what deploy/ ships to what a running sidecar shows: every metric and label of the dashboard and of the alert rules
// is in a real scrape, every reason is one, every document is there.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

import t, { type Test } from 'tap'
import { parse } from 'yaml'

import { ruleSet, scenario, until, type Scenario } from '../fixtures/scenario.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8')

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
  }
  readonly targets?: readonly { readonly expr: string }[]
}
interface Dashboard {
  readonly uid: string
  readonly panels: readonly Panel[]
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: unknown }[]
  }
}
interface AlertRule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: Readonly<Record<string, string>>
}

const dashboard: Dashboard = JSON.parse(read('deploy/grafana/sallyport.json'))
const alertFile: { groups: readonly { readonly rules: readonly AlertRule[] }[] } = parse(
  read('deploy/prometheus/alerts.yaml'),
)
const alerts = alertFile.groups.flatMap(({ rules }) => rules)

/** Labels that a scraper adds. */
const SCRAPED = ['job', 'instance']

/** The labels of each metric that a scrape has, under every name by which it may be asked for. */
async function scrape(cx: Scenario): Promise<Map<string, Set<string>>> {
  const answer = await fetch(`http://127.0.0.1:${cx.healthPort}/metrics`)
  const shown = new Map<string, Set<string>>()
  for (const line of (await answer.text()).split('\n')) {
    const declared = /^# TYPE (\S+) (?!histogram)/.exec(line)?.[1]
    if (declared !== undefined) shown.set(declared, new Set())
    const [, name, labels = ''] = /^([a-z_]+)(?:\{(.*)\})? /.exec(line) ?? []
    if (name === undefined) continue
    const known = shown.get(name) ?? new Set()
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) known.add(label)
    shown.set(name, known)
  }
  return shown
}

/** Asserts that an expression asks for what is shown. */
function checkExpression(t: Test, shown: Map<string, Set<string>>, expr: string): void {
  const names = [...expr.matchAll(/sallyport_\w+/g)].map(([name]) => name)
  t.ok(names.length > 0, `${expr} asks for something`)
  const labels = new Set(SCRAPED)
  for (const name of names) {
    t.ok(shown.has(name), `${name} is shown`)
    for (const label of shown.get(name) ?? []) labels.add(label)
  }
  for (const [, name = '', matchers = ''] of expr.matchAll(/(sallyport_\w+)\{([^}]*)\}/g))
    for (const [, label = ''] of matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
      t.ok(SCRAPED.includes(label) || shown.get(name)?.has(label), `${name} has the label ${label}`)
  for (const [, list = ''] of expr.matchAll(/\bby \(([^)]*)\)/g))
    for (const label of list.split(',')) t.ok(labels.has(label.trim()), `${expr}: ${label}`)
  const reasons = read('docs/reasons.md')
  for (const [, list = ''] of expr.matchAll(/reason=~?"([^"]*)"/g))
    for (const reason of list.split('|')) t.match(reasons, `\n## ${reason}\n`)
  const detections = read('docs/detections.md')
  for (const [, list = ''] of expr.matchAll(/detections_total\{[^}]*name=~?"([^"]*)"/g))
    for (const name of list.split('|')) t.match(detections, `\n## ${name}\n`)
}

const up = await startHttp({ handler: () => ({ body: 'ok' }) })
t.teardown(() => up.close())
const options = {
  hosts: ['up.test'],
  rules: ruleSet(`id: up, allow: 'http://up.test:${up.port}', addresses: [127.0.0.0/8]`),
  config: 'sinks: [ { stdout: {} } ]\n',
  limits: 'selfCheckMs: 100',
}

scenario(
  t,
  'every metric, label and reason of the dashboard and the alerts is shown',
  options,
  async (cx, t) => {
    const ask = (host: string): Promise<string> =>
      cx.raw(`GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    t.match(await ask(`up.test:${up.port}`), /^HTTP\/1\.1 200/)
    t.match(await ask('elsewhere.test'), /not-on-allowlist/)
    await until(
      async () => (await scrape(cx)).get('sallyport_self_check_passed')?.has('name') === true,
      'the controls were looked at',
    )
    const shown = await scrape(cx)
    // No message was judged here; its numbers have the labels of calls.
    shown.set('sallyport_messages_total', new Set(shown.get('sallyport_calls_total')))
    for (const { targets = [] } of dashboard.panels)
      for (const { expr } of targets) checkExpression(t, shown, expr)
    for (const { expr } of alerts) checkExpression(t, shown, expr)
    for (const { query } of dashboard.templating.list)
      for (const [name] of JSON.stringify(query).matchAll(/sallyport_\w+/g))
        t.ok(shown.has(name), `${name} is shown`)
  },
)

void t.test('the dashboard is laid out without holes to fall into', (t) => {
  const ids = dashboard.panels.map(({ id }) => id)
  t.equal(new Set(ids).size, ids.length, 'each panel has an id of its own')
  for (const one of dashboard.panels)
    for (const other of dashboard.panels) {
      if (one.id >= other.id) continue
      const [a, b] = [one.gridPos, other.gridPos]
      const meet = a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
      if (meet) t.fail(`${one.title} and ${other.title} lie upon each other`)
    }
  t.end()
})

void t.test('each alert has what whoever is woken needs', (t) => {
  for (const { alert, labels, annotations } of alerts) {
    t.match(labels.severity, /^(critical|warning)$/, alert)
    t.ok(annotations['summary'] && annotations['description'], alert)
    const [document = '', anchor] = (annotations['runbook'] ?? '').split('#')
    const headings = [...read(document).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading.toLowerCase().replaceAll(' ', '-'),
    )
    if (anchor !== undefined) t.ok(headings.includes(anchor), `${alert}: ${document}#${anchor}`)
  }
  const names = alerts.map(({ alert }) => alert)
  t.equal(new Set(names).size, names.length)
  const checked = spawnSync('promtool', ['check', 'rules', 'deploy/prometheus/alerts.yaml'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 30_000,
  })
  if (checked.error) t.comment('promtool is not installed here')
  else t.equal(checked.status, 0, checked.stdout)
  t.end()
})
