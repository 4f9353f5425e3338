// What a reader of a bundle might look for and does not find, with the reason. Pure. Called by `write-bundle.ts`.

import type { ChainState } from './chains.ts'
import type { EvidenceScope } from './derive.ts'
import type { BundleKeys, Manifest } from './manifest.ts'

/** What is known when a bundle is made. */
export interface Found {
  readonly scope: EvidenceScope
  readonly chains: readonly ChainState[]
  /** Tasks of which nothing is there, with those that they ended with. */
  readonly children: readonly (readonly [child: string, parent: string])[]
  readonly hasReceipt: boolean
  readonly keys: BundleKeys
  readonly rulesMissing: readonly string[]
  readonly noCheckpoint: string | undefined
}

const CHAINS_TOLD_MAX = 100

/** Names what is missing. */
export function missingIn(found: Found): Manifest['missing'] {
  const { scope, chains, children, hasReceipt, keys, rulesMissing, noCheckpoint } = found
  const missing: { what: string; why: string }[] = []
  const isEnded =
    'task' in scope && chains.some(({ of, isSealed }) => of === scope.task && isSealed)
  if ('task' in scope && !hasReceipt)
    missing.push({
      what: 'receipt.json',
      why: 'the task has not ended, or its receipt is not in the journal any more',
    })
  if ('task' in scope && !isEnded)
    missing.push({
      what: 'seal.json',
      why: 'the records of the task are not sealed: it has not ended',
    })
  if (keys.checkpoints.length === 0)
    missing.push({ what: 'keys of checkpoints', why: 'the journal has no record of them any more' })
  if (hasReceipt && keys.receipts.length === 0)
    missing.push({
      what: 'key of the receipt',
      why: 'neither the state directory nor the sidecar could be asked',
    })
  for (const version of rulesMissing)
    missing.push({ what: `rules ${version}`, why: 'the text of this rule file is not kept' })
  for (const [child, parent] of children.slice(0, CHAINS_TOLD_MAX))
    if ('task' in scope)
      missing.push({
        what: `records of ${child}`,
        why: `it ended with ${parent}, and the journal has no record of it any more`,
      })
  for (const { of, from, uncovered } of chains.slice(0, CHAINS_TOLD_MAX)) {
    if (from > 1 && 'task' in scope)
      missing.push({
        what: `records 1 to ${String(from - 1)} of ${of}`,
        why: 'they are older than the journal keeps',
      })
    // The record of a checkpoint is behind what it states.
    if (uncovered > 1)
      missing.push({
        what: 'tail-unanchored',
        why: `no checkpoint covers the last ${String(uncovered)} records of ${of}${noCheckpoint === undefined ? '' : `: ${noCheckpoint}`}`,
      })
  }
  return missing
}
