// What the tests of the sinks over a stream share: a journal with records, and how a server of the test is connected to.

import { join } from 'node:path'

import type { Test } from 'tap'

import { issueOperatorPermit } from '../../../../src/net/issue-operator.ts'
import { streamOpener, type OpenStream } from '../../../../src/net/operator-stream.ts'
import { callRecord } from '../../../../src/record/ecs.ts'
import type { Journal } from '../../../../src/record/journal/journal.ts'
import type { FeedOptions, SinkFeed } from '../../../../src/record/sinks/feed.ts'
import { normalizeHost } from '../../../../src/wire/authority.ts'
import { makeDialer } from '../../net/support.ts'
import { facts, freshDir, memoryLog, openJournal } from '../support.ts'

/** What a stream sink is made with, and the journal that it reads. */
export interface Setting {
  readonly journal: Journal
  readonly feed: FeedOptions & {
    readonly limits: { readonly sinkBatchMax: number; readonly sinkTimeoutMs: number }
  }
  readonly open: OpenStream
  readonly log: ReturnType<typeof memoryLog>
  /** Writes records of refused calls, each to its own path. */
  readonly write: (paths: readonly string[]) => Promise<void>
}

/** Makes a setting around a server on a port of loopback. */
export function makeSetting(t: Test, port: number): Setting {
  const dir = freshDir(t)
  const journal = openJournal(join(dir, 'journal'))
  const log = memoryLog()
  const limits = { sinkBatchMax: 500, sinkTimeoutMs: 300 }
  const permit = issueOperatorPermit({
    purpose: 'sinks.test',
    endpoint: { ...normalizeHost('127.0.0.1'), port },
    tls: false,
  })
  return {
    journal,
    feed: { name: 'test', journal, stateDir: dir, limits, log, now: Date.now },
    open: streamOpener(makeDialer(), permit, { client: () => ({ protocols: [] }) }),
    log,
    write: async (paths) => {
      for (const path of paths)
        await journal.append(
          callRecord(
            facts({
              reason: 'not-on-allowlist',
              target: {
                scheme: 'http',
                endpoint: { ...normalizeHost('up.test'), port: 80 },
                path,
                query: '',
              },
            }),
            'call-denied',
            Date.now(),
          ),
        )
    },
  }
}

/** Ends a sink with its test. */
export function closeAfter(t: Test, sink: SinkFeed, journal: Journal): void {
  t.teardown(async () => {
    await sink.close(100)
    await journal.close()
  })
}
