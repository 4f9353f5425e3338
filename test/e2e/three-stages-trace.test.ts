// A pipeline of three stages that speak MCP, HTTP and a model's API within one trace: from the records alone one tree is
// rendered, from the root task over its stages and their calls down to each message. What a stage may say is bound by its parent.

import t from 'tap'

import { connectMcp } from '../fixtures/mcp-client.ts'
import { startMcp } from '../fixtures/mcp-upstream.ts'
import { DIALECTS, openModels } from '../fixtures/model-client.ts'
import { startModel } from '../fixtures/model-upstream.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import {
  pki,
  scenario,
  startSecure,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'
import { makeTask, type MadeTask } from '../fixtures/tasks.ts'

const STAGES = ['prepare', 'execute', 'summarise'] as const
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
/** The span of each stage, as an orchestrator hands it on. */
const SPANS = {
  prepare: '1111111111111111',
  execute: '2222222222222222',
  summarise: '3333333333333333',
} as const
const LOOPBACK = 'addresses: [127.0.0.0/8]'

type Stage = (typeof STAGES)[number]

const mcp = await startMcp(pki.issue({ names: ['mcp.test'] }))
const model = await startModel(pki.issue({ names: ['model.test'] }))
const build = await startSecure(['build.test'], () => ({ body: 'built' }))
t.teardown(() => Promise.all([mcp, model, build].map((one) => one.close())))
const at = {
  mcp: `mcp.test:${mcp.port}`,
  model: `model.test:${model.port}`,
  build: `build.test:${build.port}`,
}

const mcpRule = (tools: string): string =>
  `{ id: issues, allow: 'https://${at.mcp}', tools: [${tools}], ${LOOPBACK} }`
const RULES = {
  execute: `{ id: build, allow: 'https://${at.build}', methods: [POST], ${LOOPBACK} }`,
  summarise: `{ id: model, allow: 'https://${at.model}', models: [claude-*], maxTokens: 200, ${LOOPBACK} }`,
}
const set = (name: string, ...rules: readonly string[]): string =>
  `ruleset: ${name}\nowner: appsec@example.com\nrules:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`
const options = {
  expires: null,
  hosts: ['mcp.test', 'model.test', 'build.test'],
  rules: {
    whole: set('whole', mcpRule('list_*, get_*'), ...Object.values(RULES)),
    prepare: set('prepare', mcpRule('get_issue')),
    execute: set('execute', RULES.execute),
    summarise: set('summarise', RULES.summarise),
    deleting: set('deleting', mcpRule('get_issue, delete_issue')),
    every: set('every', mcpRule("'*'")),
    bare: set('bare', `{ id: issues, allow: 'https://${at.mcp}', ${LOOPBACK} }`),
    dearer: set('dearer', RULES.summarise.replace('200', '2000')),
    wider: set('wider', RULES.summarise.replace('claude-*', "'*'")),
  },
}

async function makePipeline(cx: Scenario): Promise<Readonly<Record<'root' | Stage, MadeTask>>> {
  const root = await makeTask(cx, { agent: agentOf('orchestrator'), rules: ['whole'] })
  const stage = (name: Stage): Promise<MadeTask> =>
    makeTask(cx, { agent: agentOf(name), rules: [name], expires: '20m' }, root.id)
  return {
    root,
    prepare: await stage('prepare'),
    execute: await stage('execute'),
    summarise: await stage('summarise'),
  }
}

const agentOf = (name: string): object => ({ account: name, instance: `${name}/1` })
const traceparent = (stage: Stage): string => `00-${TRACE}-${SPANS[stage]}-01`

/** A node of the tree: what it is called, and by its own id what is below it. */
interface Node {
  name: string
  readonly below: Map<string, Node>
}

/** Builds the tree from records and nothing else. */
function treeOf(records: readonly JournalRecord[], names: ReadonlyMap<string, string>): Node {
  const root: Node = { name: 'tree', below: new Map() }
  const parents = new Map<string, string>()
  for (const { sallyport } of records)
    if (sallyport.call?.parent !== undefined) parents.set(sallyport.call.id, sallyport.call.parent)
  for (const record of records) {
    const { task, call, message } = record.sallyport
    if (call === undefined || task?.path === undefined) continue
    const parent = parents.get(call.id)
    const steps = [
      ...task.path,
      ...(parent === undefined ? [] : [parent]),
      call.id,
      ...(message === undefined ? [] : [message.id]),
    ]
    let node = root
    for (const step of steps) {
      let next = node.below.get(step)
      if (next === undefined) node.below.set(step, (next = { name: '', below: new Map() }))
      node = next
    }
    node.name = nameOf(record)
  }
  for (const [id, name] of names) nameAll(root, id, name)
  return root
}

function nameOf({ mcp: said, gen_ai, http, url, sallyport, destination }: JournalRecord): string {
  const { message } = sallyport
  if (message !== undefined)
    return [message.kind, said?.method?.name, gen_ai?.tool?.name].filter(Boolean).join(' ')
  if (http?.request === undefined) return `tunnel ${destination?.domain ?? ''}`
  return `${http.request.method} ${url?.domain ?? ''}${url?.path ?? ''}`
}

function nameAll(node: Node, id: string, name: string): void {
  for (const [key, below] of node.below) {
    if (key === id) below.name = name
    nameAll(below, id, name)
  }
}

/** Draws it, equal siblings once. */
function draw(node: Node, depth = 0): string[] {
  const drawn = [...node.below.values()].map((below) => [
    `${'  '.repeat(depth)}${below.name}`,
    ...draw(below, depth + 1),
  ])
  return [...new Set(drawn.map((lines) => lines.join('\n')))].toSorted()
}

scenario(t, 'R58: three stages render one tree from the records alone', options, async (cx, t) => {
  const pipeline = await makePipeline(cx)
  const { prepare, execute, summarise } = pipeline
  const client = await connectMcp(cx, {
    way: 'stateless',
    host: at.mcp,
    task: prepare,
    headers: { traceparent: traceparent('prepare') },
  })
  await client.callTool('get_issue', { id: 'PAY-1' })
  await client.close()
  const through = proxiedFetch(cx, execute)
  const headers = { traceparent: traceparent('execute') }
  const built = await through.fetch(`https://${at.build}/jobs`, { method: 'POST', headers })
  t.equal(await built.text(), 'built')
  await through.close()
  const models = openModels(cx, at.model, summarise, { traceparent: traceparent('summarise') })
  const claude = DIALECTS.find(({ provider }) => provider === 'anthropic')!
  await claude.ask(models, claude.question('Summarise PAY-1.'))
  await models.close()

  const names = new Map(
    (['root', ...STAGES] as const).map((name) => [pipeline[name].id, name] as const),
  )
  const all = (): JournalRecord[] => [...cx.terminal(), ...cx.messages()]
  const lines = (): string => draw(treeOf(all(), names)).join('\n')
  const started = (): JournalRecord[] =>
    cx.records().filter(({ event }) => event.action === 'call-started')
  await until(
    () => started().length > 0 && started().length === cx.terminal().length,
    `every call and every tunnel is over and on record:\n${lines()}`,
  )
  const tree = treeOf(all(), names)
  t.strictSame(
    [...tree.below.values()].map(({ name }) => name),
    ['root'],
    'one tree',
  )
  const [root] = tree.below.values()
  t.strictSame([...root!.below.values()].map(({ name }) => name).toSorted(), STAGES.toSorted())
  t.notMatch(lines(), /^ *$/m, 'nothing in it is without a record of its own')
  t.match(lines(), /^ {2}prepare\n {4}tunnel mcp\.test\n/m)
  t.match(
    lines(),
    /^ {6}POST mcp\.test\/stateless\n {8}request tools\/call get_issue\n {8}response .*get_issue$/m,
    'down to the call of the tool and its result',
  )
  t.match(lines(), /^ {2}execute\n {4}tunnel build\.test\n {6}POST build\.test\/jobs$/m)
  t.match(lines(), /^ {2}summarise\n {4}tunnel model\.test\n {6}POST model\.test\/v1\/messages$/m)

  for (const stage of STAGES) {
    const own = all().filter(({ sallyport }) => sallyport.task?.id === pipeline[stage].id)
    const traced = own.filter(({ trace }) => trace !== undefined)
    t.ok(traced.length > 0, `${stage} is in the trace`)
    for (const record of traced)
      t.match(record, { trace: { id: TRACE }, span: { id: SPANS[stage] } })
  }
})

scenario(
  t,
  'I9: a stage is given no tool, no model and no tokens that its parent may not have, and uses none',
  options,
  async (cx, t) => {
    const { root, prepare } = await makePipeline(cx)
    for (const name of ['deleting', 'every', 'bare', 'dearer', 'wider'])
      await t.rejects(
        makeTask(cx, { rules: [name], expires: '10m' }, root.id),
        /403 .*delegation-widening/,
        name,
      )
    const whole = await makeTask(cx, { rules: ['whole'], expires: '10m' }, root.id)
    const below = await makeTask(cx, { rules: ['prepare'], expires: '5m' }, whole.id)
    for (const task of [prepare, below]) {
      const client = await connectMcp(cx, { way: 'stateless', host: at.mcp, task })
      t.strictSame(await client.listTools(), ['get_issue'])
      t.match(await client.callTool('get_issue', { id: 'PAY-1' }), { content: [{}] })
      await t.rejects(client.callTool('list_issues'), /tool-not-allowed/)
      await client.close()
    }
    const before = mcp.catalogue.count()
    cx.file('rules/whole.yaml', set('whole', mcpRule('list_*'), ...Object.values(RULES)))
    await until(
      () => cx.records().filter(({ event }) => event.action === 'rules-loaded').length === 2,
      'the parents’ rules are narrower',
    )
    const client = await connectMcp(cx, { way: 'stateless', host: at.mcp, task: below })
    await t.rejects(client.callTool('get_issue', { id: 'PAY-1' }), /tool-not-allowed/)
    t.strictSame(await client.listTools(), [])
    await client.close()
    t.equal(mcp.catalogue.count(), before)
  },
)
