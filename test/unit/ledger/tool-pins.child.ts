// Sees definitions, says so, and waits to be killed. Started by `tool-pins.test.ts`.

import { ToolPins } from '../../../src/ledger/tool-pins.ts'
import { seeTool } from '../../fixtures/see-tool.ts'

const pins = new ToolPins({
  dir: process.argv[2] ?? '',
  toolsPinnedMax: 100,
  onProblem: (error) => {
    throw error
  },
})
const server = 'https://mcp.test/mcp'
seeTool(pins, 't_1', server, 'kept', 'sha256:1')
seeTool(pins, 't_1', server, 'changed', 'sha256:1')
seeTool(pins, 't_1', server, 'changed', 'sha256:2')
pins.completeList('t_1', server)
process.stdout.write('seen')
setInterval(() => undefined, 1000)
