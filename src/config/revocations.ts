// The leases of a configuration, from when they are minted until they are taken back: what is known of tasks and switches is asked,
// what comes of it is put on record and into receipts. Called by `secrets.ts`, `endings.ts` and `task-room.ts`.

import { createHash } from 'node:crypto'

import type { LeaseStanding } from '../credentials/debt.ts'
import type { CredentialDefinition } from '../credentials/definition.ts'
import { HandleVault } from '../credentials/handle-vault.ts'
import type { Issuer } from '../credentials/issuer.ts'
import type { LeaseView } from '../credentials/lease.ts'
import type { LeaseWatcher } from '../credentials/lease-watcher.ts'
import { OwedLeases } from '../credentials/owed-leases.ts'
import { TakeBack } from '../credentials/take-back.ts'
import { trackLeases } from '../credentials/tracked-issuer.ts'
import type { Limits } from '../limits.ts'
import type { CallRecorder } from '../record/recorder.ts'
import type { Log } from '../record/log.ts'
import type { TaskRegistry } from '../tasks/registry.ts'
import type { Switches } from '../tasks/switches.ts'
import type { ReceiptItem } from '../tasks/view.ts'
import { installationKey } from './placeholder-key.ts'

/** What is made after the leases and asked once there are any. */
export interface RevocationsAround {
  readonly room: {
    readonly registry: Pick<TaskRegistry, 'entries'>
    readonly switches: Pick<Switches, 'isCredentialKilled'>
    /** Has the receipt of a task that has ended say what became of a lease since. */
    readonly amendLease: (standing: LeaseStanding) => void
  }
  readonly records: { readonly recorder: Pick<CallRecorder, 'recordEvent'> }
  readonly log: Pick<Log, 'error'>
}

const KEY_FILE = 'handles.key'

/** Opens what is kept of leases. @throws Error where it cannot be read or written */
export function openTakeBack(
  config: { readonly stateDir: string; readonly limits: Limits },
  around: () => RevocationsAround,
): TakeBack {
  const { stateDir, limits } = config
  const now = Date.now
  const owed = new OwedLeases({
    stateDir,
    vault: new HandleVault(installationKey(stateDir, KEY_FILE)),
    leasesMax: limits.owedLeasesMax,
    now,
  })
  return new TakeBack({
    owed,
    limits,
    now,
    taskState: (taskId) => {
      const state = around().room.registry.entries.get(taskId)?.kept.state ?? 'ended'
      if (state === 'ended') return 'over'
      return state === 'revoking' ? 'ending' : 'live'
    },
    isKilled: (name) => around().room.switches.isCredentialKilled(name),
    onOutcome: (standing) => recordOutcome(standing, around()),
    onLate: (standing) => around().room.amendLease(standing),
    onProblem: (error) => around().log.error({ err: error }, 'a lease could not be taken back'),
  })
}

/** Has the leases of all that mints written down before they are used. */
export function trackAll(
  definitions: readonly CredentialDefinition[],
  issuers: ReadonlyMap<string, Issuer>,
  takeBack: TakeBack,
): ReadonlyMap<string, Issuer> {
  return new Map(
    definitions.flatMap(({ name, source }) => {
      const issuer = issuers.get(name)
      if (issuer === undefined) return []
      const digest = createHash('sha256').update(JSON.stringify(source)).digest('base64url')
      return [[name, trackLeases(name, digest, issuer, takeBack)] as const]
    }),
  )
}

/** Has what tasks do not use any more taken back: what becomes of it is told where leases are kept. */
export function takesBack(
  issuers: ReadonlyMap<string, Issuer>,
  { providerTimeoutMs }: Pick<Limits, 'providerTimeoutMs'>,
): Required<Pick<LeaseWatcher, 'onReplaced' | 'onOrphan'>> {
  const revoke = ({ credential, handle }: LeaseView): void => {
    const signal = AbortSignal.timeout(providerTimeoutMs)
    if (handle)
      issuers
        .get(credential)
        ?.revoke?.(handle, signal)
        .catch(() => undefined)
  }
  return { onReplaced: revoke, onOrphan: revoke }
}

/** What a receipt says of a lease. @param at in ISO 8601 */
export function leaseItem(standing: LeaseStanding, at: string): ReceiptItem {
  const { lease, credential, id } = standing
  const called = id === undefined ? '' : ` (to its provider ${id})`
  return {
    kind: 'credential',
    name: credential,
    lease,
    at,
    ...outcomeOf(standing),
    detail: `lease ${lease}${called}: ${wordsFor(standing)}`,
  }
}

function outcomeOf(
  standing: LeaseStanding,
): Pick<ReceiptItem, 'outcome' | 'residualExposureUntil'> {
  return isOver(standing)
    ? { outcome: 'ended' }
    : { outcome: 'unconfirmed', residualExposureUntil: exposedUntil(standing) }
}

function isOver({ state }: LeaseStanding): boolean {
  return state === 'absent' || state === 'confirmed' || state === 'expired'
}

function exposedUntil({ expiresAt }: LeaseStanding): string | null {
  return expiresAt === undefined ? null : new Date(expiresAt).toISOString()
}

function wordsFor({ state, why }: LeaseStanding): string {
  switch (state) {
    case 'absent':
      return 'it was not minted after all'
    case 'confirmed':
      return 'taken back, and seen not to work any more'
    case 'expired':
      return 'it has expired'
    case 'accepted':
      return `taken back: ${why ?? ''}; it is looked at again`
    case 'unrevocable':
      return `not taken back: ${why ?? ''}`
    case 'pending':
    default:
      return `not taken back yet: ${why ?? 'its provider has not answered yet'}; it is tried again`
  }
}

function recordOutcome(standing: LeaseStanding, { room, records }: RevocationsAround): void {
  const { lease, task: taskId, credential, id, state, why } = standing
  const task = room.registry.entries.get(taskId)?.task
  const isSuccess = isOver(standing)
  records.recorder.recordEvent('credential-revoked', {
    ...(task && { task }),
    outcome: isSuccess ? 'success' : 'failure',
    detail: {
      credential,
      lease,
      ...(task === undefined && { task: taskId }),
      ...(id !== undefined && { id }),
      how: state,
      ...(why !== undefined && { why }),
      ...(!isSuccess && { residualExposureUntil: exposedUntil(standing) }),
    },
  })
}
