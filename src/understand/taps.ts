// What reads calls as they flow by, for the record alone; loaded by `understand.ts` when a call needs it.

export { tapMcpCall } from './mcp-tap.ts'
export { tapModelCall } from './model.ts'
export { tapRealtimeCall } from './realtime.ts'
