// Held calls of tools, by both SDKs of MCP: the conversation goes on beside them, and what is approved are the arguments.

import t from 'tap'

import { answerAs, holdsOf, reviewed, waitingHold } from '../fixtures/hold-desk.ts'
import { connectMcp, type McpClient } from '../fixtures/mcp-client.ts'
import { refused } from '../fixtures/mcp-talk.ts'
import { startMcp } from '../fixtures/mcp-upstream.ts'
import { proxiedFetch } from '../fixtures/proxy-fetch.ts'
import { pki, ruleSet, type Scenario } from '../fixtures/scenario.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const mcp = await startMcp(pki.issue({ names: ['mcp.test'] }))
t.teardown(() => mcp.close())
const mcpHost = `mcp.test:${mcp.port}`
const tools = ruleSet(
  `id: read, allow: 'https://${mcpHost}', tools: [list_*, get_issue], ${LOOPBACK}`,
  `id: delete, hold: 'https://${mcpHost}', tools: [delete_issue], ${LOOPBACK}`,
)
const mcpOptions = { hosts: ['mcp.test'], rules: tools, limits: 'holdWaitMs: 1500' }

async function withMcp(
  cx: Scenario,
  way: 'sessions' | 'modern',
  body: (client: McpClient) => Promise<void>,
): Promise<void> {
  const client = await connectMcp(cx, { way, host: mcpHost })
  try {
    await body(client)
  } finally {
    await client.close()
  }
}

for (const way of ['sessions', 'modern'] as const)
  reviewed(
    t,
    `R77: over ${way} a tool waits for a person, and the conversation goes on beside it`,
    mcpOptions,
    async (cx, t) => {
      await withMcp(cx, way, async (client) => {
        t.ok((await client.listTools()).includes('delete_issue'), 'it is shown')
        const before = mcp.catalogue.count('delete_issue')
        const called = client.callTool('delete_issue', { id: 'PAY-1' })
        const hold = await waitingHold(cx)
        t.match(hold, {
          rule: { id: 'delete' },
          request: { tools: [{ name: 'delete_issue', arguments: { id: 'PAY-1' } }] },
        })
        t.match(await client.callTool('get_issue', { id: 'PAY-1' }), {
          content: [{ text: 'issue PAY-1' }],
        })
        await answerAs(cx, 'bob', hold.id, 'approve')
        t.match(await called, { content: [{ text: 'deleted' }] })
        t.equal(mcp.catalogue.count('delete_issue') - before, 1)
        const request = await cx.message(
          ({ gen_ai, sallyport }) =>
            gen_ai?.tool?.name === 'delete_issue' && sallyport.message?.kind === 'request',
        )
        t.match(request, {
          event: { action: 'message-allowed', reason: 'allowed' },
          sallyport: { decision: { verdict: 'hold' }, hold: { id: hold.id, by: 'bob' } },
        })
      })
    },
  )

reviewed(
  t,
  'R75: an approved tool call is for its arguments, whatever number the client gives it',
  { ...mcpOptions, limits: 'holdWaitMs: 300' },
  async (cx, t) => {
    await withMcp(cx, 'sessions', async (client) => {
      const before = mcp.catalogue.count('delete_issue')
      await refused(
        t,
        'sessions',
        client.callTool('delete_issue', { id: 'PAY-1' }),
        'approval-pending',
      )
      const [{ id }] = await holdsOf(cx)
      await answerAs(cx, 'bob', id, 'approve')
      await refused(
        t,
        'sessions',
        client.callTool('delete_issue', { id: 'PAY-2' }),
        'approval-pending',
      )
      t.match(await client.callTool('delete_issue', { id: 'PAY-1' }), {
        content: [{ text: 'deleted' }],
      })
      await refused(
        t,
        'sessions',
        client.callTool('delete_issue', { id: 'PAY-1' }),
        'approval-pending',
      )
      t.equal(mcp.catalogue.count('delete_issue') - before, 1)
      const denied = await cx.message(({ event }) => event.action === 'message-denied')
      t.match(denied, {
        event: { reason: 'approval-pending' },
        sallyport: { decision: { verdict: 'hold' } },
      })
    })
  },
)

reviewed(
  t,
  'R75: a refused tool call is an error of the protocol that names the hold',
  mcpOptions,
  async (cx, t) => {
    const through = proxiedFetch(cx)
    const asked = through.fetch(`https://${mcpHost}/stateless`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 7,
        method: 'tools/call',
        params: { name: 'delete_issue', arguments: { id: 'PAY-1' } },
      }),
    })
    const { id } = await waitingHold(cx)
    await answerAs(cx, 'bob', id, 'deny')
    const answer = await asked
    t.equal(answer.headers.get('sallyport-hold'), id)
    t.match(await answer.json(), {
      id: 7,
      error: { data: { reason: 'approval-denied', hold: id } },
    })
    await through.close()
  },
)
