import { readFileSync, truncateSync, writeFileSync } from 'node:fs'

import t from 'tap'

import { eventRecord } from '../../../../src/record/ecs.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import { findTailTampering } from '../../../../src/record/proof/tail-check.ts'
import { freshDir, openJournal } from '../support.ts'

void t.test('R78: every byte that is edited at the end of a live journal is found', async (t) => {
  const journal = openJournal(freshDir(t))
  t.equal(findTailTampering(journal), undefined, 'nothing is there yet')
  const append = (): Promise<void> =>
    journal.append(
      eventRecord('rules-loaded', { now: Date.now(), detail: { digest: 'é'.repeat(9) } }),
    )
  for (let written = 0; written < 3; written += 1) await append()
  t.equal(findTailTampering(journal), undefined)
  const { path } = listSegments(journal.dir)[0]!
  const bytes = readFileSync(path)
  const missed: number[] = []
  for (let at = 0; at < bytes.length; at += 1) {
    const edited = Buffer.from(bytes)
    edited[at]! ^= 1
    writeFileSync(path, edited)
    if (findTailTampering(journal) === undefined) missed.push(at)
  }
  t.strictSame(missed, [])
  truncateSync(path, bytes.length - 1)
  t.match(findTailTampering(journal), /shorter/)
  writeFileSync(path, bytes)
  t.equal(findTailTampering(journal), undefined, 'the twin')
  for (let written = 0; written < 1500; written += 1) void append()
  await append()
  t.equal(findTailTampering(journal), undefined, 'where the tail begins within a line')
  await journal.close()
})
