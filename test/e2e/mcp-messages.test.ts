// Each message of MCP by itself, from outside: both SDKs through the real program. Messages of either side are judged and recorded
// one by one, by the rules as they are then; where they stand in a trace and what was said is on record as the modes say.

import {
  GRANT,
  isCallOf,
  refused,
  ruleFor,
  SPEAKING,
  talk,
  WAYS,
  type Talk,
} from '../fixtures/mcp-talk.ts'
import { until, type JournalRecord } from '../fixtures/scenario.ts'

for (const way of SPEAKING)
  talk(
    `over ${way} progress and what the server tells by itself arrive while its stream stays open`,
    'tools: [get_issue, slow_report]',
    async (one) => {
      const { t, cx, mcp } = one
      const client = await one.connect(way)
      t.match(await client.callTool('slow_report'), { content: [{ text: 'the report' }] })
      t.strictSame(client.progressed, [1, 2, 3])
      // A client opens its stream when it likes; what is told before that is told to nobody.
      await until(() => {
        mcp.catalogue.describe('get_issue', 'Reads one issue.')
        return client.noticed.length > 0
      }, 'the client is told that the tools changed')
      t.match(await client.callTool('get_issue', { id: 'PAY-1' }), { content: [{}] })
      await cx.message(
        ({ event, mcp: said, sallyport }) =>
          event.action === 'message-allowed' &&
          sallyport.message?.direction === 'to-client' &&
          said?.method?.name === 'notifications/tools/list_changed',
      )
    },
  )

const QUESTIONS = [
  ['sampling', 'sampling/createMessage'],
  ['elicitation', 'elicitation/create'],
  ['roots', 'roots/list'],
] as const

for (const way of SPEAKING)
  talk(
    `over ${way} what a server asks of its client does not reach it under rules, and does without`,
    'tools: [ask_client, get_issue]',
    async ({ t, cx, mcp, host, connect }) => {
      const denied = (): JournalRecord[] =>
        cx
          .messages()
          .filter(
            ({ event, sallyport }) =>
              event.action === 'message-denied' && sallyport.message?.direction === 'to-client',
          )
      for (const [what] of QUESTIONS) {
        const before = denied().length
        const client = await connect(way)
        // Whether the server is answered is not promised, so that the call may be left without a result.
        const asking = client.callTool('ask_client', { what }).catch(() => undefined)
        await until(() => denied().length > before, `${what} is denied:\n${cx.summary()}`)
        t.strictSame(client.asked, [], what)
        await client.close()
        await asking
      }
      t.notOk(mcp.catalogue.answers.some((answer) => answer.startsWith('answered')))
      const other = await connect(way)
      t.match(await other.callTool('get_issue', { id: 'PAY-1' }), { content: [{}] })
      cx.file('rules/set.yaml', ruleFor(host, '')['set']!)
      await until(
        () => cx.records().filter(({ event }) => event.action === 'rules-loaded').length === 2,
        'the rule that looks inside is gone',
      )
      for (const [what, method] of QUESTIONS) {
        const twin = await connect(way)
        await twin.callTool('ask_client', { what })
        t.strictSame(twin.asked, [method], 'the allowed twin')
      }
    },
  )

for (const way of WAYS)
  talk(
    `R51: over ${way} a call of a tool has one record and its result another, also where the tool fails`,
    GRANT,
    async (one) => {
      const { t, cx } = one
      const client = await one.connect(way)
      await client.listTools()
      await client.callTool('get_issue', { id: 'PAY-1' })
      t.match(await client.callTool('get_issue', { id: 'PAY-404' }), { isError: true })
      const of = (kind: string): JournalRecord[] =>
        cx.messages().filter(isCallOf('get_issue', kind))
      await until(() => of('response').length === 2, 'both results are on record')
      t.equal(of('request').length, 2)
      for (const record of of('request'))
        t.match(record, {
          event: { action: 'message-allowed' },
          gen_ai: {
            operation: { name: 'execute_tool' },
            tool: { name: 'get_issue', call: { arguments: { id: /^PAY-/ } } },
          },
          mcp: { method: { name: 'tools/call' } },
          jsonrpc: { request: { id: /^\d+$/ } },
          sallyport: {
            message: { direction: 'to-server' },
            content: {
              input: { digest: /^sha256:[0-9a-f]{64}$/ },
              definition: /^sha256:[0-9a-f]{64}$/,
            },
          },
        })
      const [good, bad] = of('response')
      t.equal(good?.error, undefined)
      t.match(bad, {
        event: { action: 'message-allowed', outcome: 'failure' },
        error: { type: 'tool_error' },
        sallyport: {
          message: { direction: 'to-client' },
          content: { output: { digest: /^sha256:/ } },
        },
      })
      t.strictSame(
        of('response').map(({ jsonrpc }) => jsonrpc?.request.id),
        of('request').map(({ jsonrpc }) => jsonrpc?.request.id),
        'by its id a result is known to be of its call',
      )
    },
    { config: 'record: { tools: full }' },
  )

for (const mode of ['off', 'digest', 'redacted', 'full'] as const)
  talk(
    `R52: what a tool is given and what it answers is recorded as the mode ${mode} says`,
    GRANT,
    async (one) => {
      const { t, cx } = one
      const client = await one.connect('sessions')
      await client.callTool('list_issues', { team: 'canary-of-the-team' })
      const call = await cx.message(isCallOf('list_issues'))
      const result = await cx.message(isCallOf('list_issues', 'response'))
      const isKept = mode === 'full' || mode === 'redacted'
      t.equal(JSON.stringify([call, result]).includes('canary-of-the-team'), isKept)
      t.equal(call.sallyport.content?.input?.digest !== undefined, mode !== 'off')
      t.equal(result.sallyport.content?.output?.digest !== undefined, mode !== 'off')
    },
    { config: `record: { tools: ${mode} }` },
  )

talk(
  'R25: each message has a decision of its own, and a changed rule binds the next message of a live session',
  GRANT,
  async (one) => {
    const { t, cx, mcp, host } = one
    const loaded = (): number =>
      cx.records().filter(({ event }) => event.action === 'rules-loaded').length
    const client = await one.connect('sessions')
    await client.callTool('get_issue', { id: 'PAY-1' })
    await client.callTool('get_issue', { id: 'PAY-1' })
    cx.file('rules/set.yaml', ruleFor(host, 'tools: [list_issues]')['set']!)
    await until(() => loaded() === 2, 'the change is loaded')
    await refused(t, 'sessions', client.callTool('get_issue', { id: 'PAY-1' }), 'tool-not-allowed')
    t.match(await client.callTool('list_issues', { team: 'PAY' }), { content: [{}] })
    cx.file('rules/set.yaml', ruleFor(host, GRANT)['set']!)
    await until(() => loaded() === 3, 'the next change is loaded')
    t.match(await client.callTool('get_issue', { id: 'PAY-1' }), { content: [{}] })
    t.equal(mcp.catalogue.count('get_issue'), 3)
    await until(() => cx.messages().filter(isCallOf('get_issue')).length === 4, 'all are on record')
    const decisions = cx.messages().map(({ sallyport }) => sallyport.decision!.id)
    t.equal(new Set(decisions).size, decisions.length, 'no decision stands for two messages')
    const ids = cx.messages().map(({ sallyport }) => sallyport.message!.id)
    t.equal(new Set(ids).size, ids.length)
  },
)

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const INNER = '4bf92f3577b34da6a3ce929d0e0e4736'

talk(
  'R58: where a call and a message stand in a trace is recorded, from HTTP and from MCP alike',
  GRANT,
  async (one) => {
    const { t, cx, mcp } = one
    const client = await one.connect('sessions', {
      headers: { traceparent: `00-${TRACE}-b7ad6b7169203331-01` },
    })
    await client.callTool('list_issues', { team: 'PAY' })
    t.match(await cx.message(isCallOf('list_issues')), {
      trace: { id: TRACE },
      span: { id: 'b7ad6b7169203331' },
    })
    for (const way of ['sessions', 'modern'] as const) {
      const other = await one.connect(way)
      await other.callTool(
        'get_issue',
        { id: way },
        { traceparent: `00-${INNER}-00f067aa0ba902b7-01` },
      )
    }
    await until(
      () => cx.messages().filter(isCallOf('get_issue')).length === 2,
      'both are on record',
    )
    for (const record of cx.messages().filter(isCallOf('get_issue')))
      t.match(record, { trace: { id: INNER }, span: { id: '00f067aa0ba902b7' } })
    t.equal(mcp.catalogue.count(), 3)
    await expectUntraced(one)
  },
)

/** What is no trace context is none, and no call fails for it. */
async function expectUntraced(one: Talk): Promise<void> {
  const { cx, t } = one
  const client = await one.connect('sessions', { headers: { traceparent: '00-not-a-trace-00' } })
  await client.callTool('list_issues', { team: 'untraced' })
  await until(() => cx.messages().filter(isCallOf('list_issues')).length === 2, 'it is on record')
  t.equal(cx.messages().filter(isCallOf('list_issues'))[1]?.trace, undefined)
}

talk(
  'the kill switch ends a tool everywhere, and nothing but that tool, until it is lifted',
  GRANT,
  async (one) => {
    const { t, cx, mcp } = one
    const client = await one.connect('sessions')
    await client.callTool('get_issue', { id: 'PAY-1' })
    const thrown = cx.run('kill', '--tool', 'get_issue', '--json')
    t.equal(thrown.status, 0, thrown.stderr)
    await refused(t, 'sessions', client.callTool('get_issue', { id: 'PAY-1' }), 'killed')
    t.match(await client.callTool('list_issues', { team: 'PAY' }), { content: [{}] })
    t.notOk((await client.listTools()).includes('get_issue'))
    const { kill } = JSON.parse(thrown.stdout)
    t.equal(cx.run('kill', '--lift', kill.id).status, 0)
    t.match(await client.callTool('get_issue', { id: 'PAY-1' }), { content: [{}] })
    t.equal(mcp.catalogue.count('get_issue'), 2)
  },
)
