// The record of a DNS query that was refused: what was asked, by whom, why. Deliberately none of what is answered, which says
// nothing and leaves nowhere. Pure. Called by `recorder.ts`.

import type { ClientAddress } from '../call.ts'
import type { Reason } from '../errors.ts'
import type { Task } from '../tasks/task.ts'
import type { RecordBody } from './body.ts'
import { eventRecord } from './ecs.ts'

/** A query that was refused. */
export interface RefusedQuery {
  readonly client: ClientAddress
  /** Undefined: nobody proved one. */
  readonly task: Task | undefined
  /** Absent where none could be read. */
  readonly question:
    { readonly name: string; readonly type: string; readonly class: string } | undefined
  readonly reason: Reason
  /** What it was answered with, in the words of RFC 1035 and its followers; undefined: with nothing. */
  readonly responseCode: string | undefined
  readonly transport: 'udp' | 'tcp'
  /** Small facts, such as what is wrong with a message's form. */
  readonly detail: Readonly<Record<string, string | number>>
}

/** Builds the record of a refused query. @param now epoch milliseconds */
export function dnsRecord(query: RefusedQuery, now: number): RecordBody {
  const { client, task, question, reason, responseCode, transport, detail } = query
  const { sallyport, ...record } = eventRecord('dns-denied', {
    now,
    reason,
    task,
    detail: { transport, ...detail },
  })
  return {
    ...record,
    source: client.address === undefined ? undefined : { ip: client.address, port: client.port },
    dns: { type: 'query', question, response_code: responseCode },
    sallyport,
  }
}
