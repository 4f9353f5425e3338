// `kill --tool` and `tail --tool` against the running program.

import t from 'tap'

import { ruleSet, scenario, type JournalRecord } from '../fixtures/scenario.ts'
import { api } from '../fixtures/tasks.ts'

const rules = ruleSet("id: mcp, allow: 'https://mcp.test'")

scenario(
  t,
  'R66: a tool is switched off by its name, over a restart, until it is lifted',
  { rules, expires: null },
  async (cx, t) => {
    const thrown = cx.run('kill', '--tool', 'mcp.test/delete_issue', '--reason', 'leak')
    t.match(thrown, {
      status: 0,
      stdout:
        /^k_\w+ tool mcp\.test\/delete_issue by \S+ at .*: leak\n0 tasks ended, 0 calls cut\n$/,
    })
    t.match(cx.run('kill', '--tool', 'delete_*'), { status: 1, stderr: /exact name/ })
    const { status, body } = await api(cx, 'POST', '/v1/kill', {
      scope: 'tool',
      value: 'wire_money',
    })
    t.match(
      { status, body },
      { status: 200, body: { kill: { scope: 'tool', value: 'wire_money' } } },
    )
    await cx.stop('SIGKILL')
    await cx.start()
    t.match(cx.run('kill', '--list').stdout, /tool mcp\.test\/delete_issue[^]*tool wire_money/)
    t.match(cx.run('kill', '--lift', body.kill.id), { status: 0, stdout: /^lifted .* wire_money / })
    t.notMatch(cx.run('kill', '--list').stdout, /wire_money/)
    const throws = (): JournalRecord[] =>
      cx.records().filter(({ event }) => event.action === 'kill-switch-thrown')
    t.match(throws(), [
      { event: { kind: 'alert' }, sallyport: { detail: { scope: 'tool', reason: 'leak' } } },
      { sallyport: { detail: { scope: 'tool', value: 'wire_money' } } },
    ])
  },
)

scenario(
  t,
  'records are asked for by the tool that was called',
  { rules, expires: null },
  async (cx, t) => {
    t.match(cx.run('tail', '--tool', '*'), { status: 0, stdout: /^$/, stderr: /^$/ })
    t.match(await api(cx, 'GET', '/v1/calls?tool=list_*'), { status: 200, body: { calls: [] } })
    t.match(await api(cx, 'GET', '/v1/calls?tool='), { status: 400, body: { field: '/tool' } })
    t.match(cx.run('tail').stdout, /EVENT/, 'there are others')
  },
)
