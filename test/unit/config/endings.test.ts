// Proves which open calls the kill switch cuts.

import t from 'tap'

import { Call } from '../../../src/call.ts'
import { isKilled } from '../../../src/config/endings.ts'

function callTo(host: string, ...tools: string[]): Call {
  const call: Call = new Call({ id: 'C', kind: 'intercepted', startedAt: 0, client: {} })
  call.receive({
    method: 'POST',
    version: '1.1',
    headers: [],
    scheme: 'https',
    endpoint: { host, kind: 'name', port: 8443, literal: host },
    path: { raw: '/mcp', readings: [] },
    query: undefined,
    framing: { kind: 'none' },
    upgrade: false,
    expectsContinue: false,
  })
  if (tools.length > 0) call.tools = new Set(tools)
  return call
}

void t.test('the kill switch for a tool cuts the calls that it is open in, and no other', (t) => {
  const everywhere = isKilled('tool', 'delete_issue')
  t.ok(everywhere(callTo('mcp.test', 'list_issues', 'delete_issue')))
  t.notOk(everywhere(callTo('mcp.test', 'list_issues')))
  t.notOk(everywhere(callTo('mcp.test')))
  const atOne = isKilled('tool', 'MCP.test/delete_issue')
  t.ok(atOne(callTo('mcp.test', 'delete_issue')))
  t.notOk(atOne(callTo('other.test', 'delete_issue')))
  t.notOk(atOne(new Call({ id: 'C', kind: 'tunnel', startedAt: 0, client: {} })))
  t.ok(isKilled('host', 'mcp.test')(callTo('mcp.test')))
  t.notOk(isKilled('host', 'mcp.test')(callTo('other.test')))
  t.end()
})
