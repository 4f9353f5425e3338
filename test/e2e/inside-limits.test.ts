// The bounds of what is read of a call, reached from outside: what a rule has to see whole is refused beyond its bound, what is
// read for the record alone flows on, and the record says so.

import t, { type Test } from 'tap'

import { DIALECTS, openModels, type ModelClients } from '../fixtures/model-client.ts'
import { startModel } from '../fixtures/model-upstream.ts'
import {
  pki,
  ruleSet,
  scenario,
  until,
  type JournalRecord,
  type Scenario,
} from '../fixtures/scenario.ts'

const model = await startModel(pki.issue({ names: ['model.test'] }))
t.teardown(() => model.close())
const host = `model.test:${model.port}`
const dialect = DIALECTS[0]!

function bounded(
  title: string,
  { config, keys = '' }: { readonly config: string; readonly keys?: string },
  body: (cx: Scenario, t: Test, clients: ModelClients) => Promise<void>,
): void {
  const rules = ruleSet(
    `id: model, allow: 'https://${host}', ${keys}addresses: [127.0.0.0/8], record: { prompts: full }`,
  )
  scenario(t, title, { hosts: ['model.test'], rules, config }, async (cx, t) => {
    const clients = openModels(cx, host)
    try {
      await body(cx, t, clients)
    } finally {
      await clients.close()
    }
  })
}

const isAsked = ({ url, event }: JournalRecord): boolean =>
  ['call-ended', 'call-denied'].includes(event.action) && url !== undefined && url.path !== '/'

async function asked(cx: Scenario, count: number): Promise<JournalRecord[]> {
  const all = (): JournalRecord[] => cx.terminal().filter(isAsked)
  await until(() => all().length >= count, `${count} questions are on record:\n${cx.summary()}`)
  return all()
}

const long = `What is to be paid? ${'x'.repeat(4096)}`

bounded(
  'I7: beyond inspectBytesMax a question that a rule looks into is refused, a shorter one passes',
  { config: 'limits: { inspectBytesMax: 2KiB }', keys: `models: ['*'], serverTools: false, ` },
  async (cx, t, clients) => {
    const before = model.exchanges.length
    await t.rejects(
      dialect.ask(clients, dialect.question(long)),
      { status: 413, message: /413/ },
      'it is too large',
    )
    t.equal(model.exchanges.length, before, 'nothing of it left')
    await dialect.ask(clients, dialect.question('What is to be paid?'))
    const [refused, allowed] = await asked(cx, 2)
    t.equal(refused?.event.reason, 'body-too-large')
    t.equal(allowed?.event.reason, 'allowed')
  },
)

bounded(
  'I7: beyond tapBytesMax a question flows on, and its record says that it was not read',
  { config: 'limits: { tapBytesMax: 2KiB }' },
  async (cx, t, clients) => {
    await dialect.ask(clients, dialect.question(long))
    await dialect.ask(clients, dialect.question('What is to be paid?'))
    const [unread, read] = await asked(cx, 2)
    t.equal(unread?.sallyport.content?.unread, 'too-large')
    t.match(unread?.gen_ai, { operation: { name: 'chat' }, provider: { name: dialect.provider } })
    t.equal(unread?.gen_ai?.input, undefined)
    t.equal(read?.sallyport.content?.unread, undefined)
    t.match(JSON.stringify(read?.gen_ai?.input), 'What is to be paid?')
  },
)

bounded(
  'I7: beyond recordedContentBytesMax the words on record are cut, and the record says so',
  { config: 'limits: { recordedContentBytesMax: 512 }' },
  async (cx, t, clients) => {
    const before = model.exchanges.length
    await dialect.ask(clients, dialect.question(long))
    await dialect.ask(clients, dialect.question('What is to be paid?'))
    t.match(JSON.stringify(model.exchanges[before]?.asked), long, 'all of it arrived')
    const [cut, whole] = await asked(cx, 2)
    t.ok(JSON.stringify(cut?.gen_ai?.input).length < 1024)
    t.match(cut?.sallyport.content?.input, { truncated: true })
    t.equal(whole?.sallyport.content?.input?.truncated, undefined)
  },
)
