// Proves that what is remembered of tools is kept in the state and ends with the task.

import { readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { loadConfig } from '../../../src/config/load.ts'
import { openTaskTools } from '../../../src/config/task-tools.ts'
import { makeLog } from '../../../src/record/log.ts'
import { seeTool } from '../../fixtures/see-tool.ts'

void t.test('what a task saw of tools ends with it, and another task’s does not', (t) => {
  const directory = t.testdir({
    'sallyport.yaml': 'limits: { toolsPinnedMax: 3, callsPerTaskMax: 1 }',
  })
  const file = path.join(directory, 'sallyport.yaml')
  const { config } = loadConfig({ file, environment: {} })
  if (config === undefined) throw new Error('it is a configuration')
  const lines: string[] = []
  const log = makeLog({ level: 'error', pretty: true, write: (line) => lines.push(line) })
  const tools = openTaskTools(config, log, () => {
    throw new Error('there are no tasks yet')
  })
  const server = 'https://mcp.test/mcp'
  for (const task of ['t_1', 't_2']) {
    t.equal(seeTool(tools.pins, task, server, 'read', 'sha256:a'), 'first')
    tools.requests.note(task, server, 1, 'ping')
    tools.requests.note(task, server, 2, 'ping')
  }
  t.equal(tools.forget('t_1'), 3, 'a tool, its server, and a request: the other was one too many')
  t.equal(tools.pins.check('t_1', server, 'read'), 'unknown')
  t.equal(tools.pins.check('t_2', server, 'read'), 'ok')
  t.match(readFileSync(path.join(directory, 'state/tool-pins.ndjson'), 'utf8'), /"gone"/)
  t.strictSame(lines, [])
  tools.close()
  seeTool(tools.pins, 't_2', server, 'read', 'sha256:b')
  t.match(lines, [/what is remembered of tools could not be written/])
  t.end()
})
