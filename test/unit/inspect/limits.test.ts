// The bounds of readers that an operator says, each by its name: at the bound a message is read, beyond it is refused.

import t from 'tap'

import { boundPush } from '../../../src/inspect/git/bounds.ts'
import { readGraphql } from '../../../src/inspect/graphql/read.ts'
import { readMessages } from '../../../src/inspect/mcp/messages.ts'
import { drainBody } from '../../../src/inspect/whole-body.ts'
import { DEFAULT_LIMITS, type Limits } from '../../../src/limits.ts'
import { NO_BODY, type Body } from '../../../src/wire/body.ts'
import { readPush, reasonOf } from './git-support.ts'
import { FLUSH, formatPktLine } from '../../../src/inspect/git/pkt-line.ts'
import { request } from './mcp-support.ts'

const CARRIER = { method: 'POST', query: undefined, headers: ['Content-Type', 'application/json'] }

function graphqlReason(value: unknown, limits: Partial<Limits>): string | undefined {
  const body = Buffer.from(JSON.stringify(value))
  return reasonOf(() => readGraphql(CARRIER, body, { ...DEFAULT_LIMITS, ...limits }))
}

void t.test('I7: graphqlBatchMax bounds the requests of a batch', (t) => {
  const batch = [{ query: '{ a }' }, { query: '{ b }' }, { query: '{ c }' }]
  t.equal(graphqlReason(batch, { graphqlBatchMax: 3 }), undefined)
  t.equal(graphqlReason(batch, { graphqlBatchMax: 2 }), 'body-too-large')
  t.end()
})

void t.test('I7: graphqlDocumentBytesMax bounds each document by its bytes', (t) => {
  const batch = [{ query: '{ a }' }, { query: '{ b }# ü' }]
  t.equal(graphqlReason(batch, { graphqlDocumentBytesMax: 9 }), undefined)
  t.equal(graphqlReason(batch, { graphqlDocumentBytesMax: 8 }), 'body-too-large')
  t.end()
})

void t.test('I7: graphqlTokensMax bounds the tokens of all documents together', (t) => {
  const batch = [{ query: '{ a }' }, { query: '{ b }' }]
  // The end of a document counts as one.
  t.equal(graphqlReason(batch, { graphqlTokensMax: 8 }), undefined)
  t.equal(graphqlReason(batch, { graphqlTokensMax: 7 }), 'body-too-large')
  t.end()
})

void t.test('I7: mcpBatchMax bounds the messages of a batch, either way', (t) => {
  const batch = (count: number): object[] =>
    Array.from({ length: count }, (_, id) => request('ping', {}, id))
  const readBatch = (count: number, direction: 'to-server' | 'to-client'): string | undefined =>
    reasonOf(() => readMessages(JSON.parse(JSON.stringify(batch(count))), direction, 3))
  t.equal(readBatch(3, 'to-server'), undefined)
  t.equal(readBatch(4, 'to-server'), 'malformed-body')
  t.equal(readBatch(3, 'to-client'), undefined)
  t.equal(readBatch(4, 'to-client'), 'response-malformed')
  t.end()
})

void t.test('I7: pushCommandsMax bounds the updates of a push', (t) => {
  const zero = '0'.repeat(40)
  const command = (at: number): string => `${zero} ${'1'.repeat(40)} refs/heads/agent/${at}`
  const body = Buffer.concat([
    formatPktLine(`${command(0)}\0report-status`),
    formatPktLine(command(1)),
    FLUSH,
  ])
  const bounds = (pushCommandsMax: number): ReturnType<typeof boundPush> =>
    boundPush({ ...DEFAULT_LIMITS, pushCommandsMax })
  t.equal(readPush(body, body.length, bounds(2)).subject.commands.length, 2)
  t.equal(
    reasonOf(() => readPush(body, body.length, bounds(1))),
    'body-too-large',
  )
  t.equal(boundPush({ ...DEFAULT_LIMITS, pushHeldBytesMax: 7 }).packBytesMax, 7)
  t.end()
})

void t.test('I7: refusedPushBytesMax bounds what is read of a push that was refused', async (t) => {
  const refusedPushBytesMax = 25
  let reads = 0
  const endless: Body = {
    ...NO_BODY,
    read() {
      reads += 1
      return new Uint8Array(10)
    },
  }
  await drainBody(endless, refusedPushBytesMax)
  t.equal(reads, 3)
})
