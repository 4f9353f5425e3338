// What the control API is given of a running sidecar: its tasks, switches, rules, credentials and records, each behind the
// interface that `control/` asks by. Deliberately decides nothing. Called by `sidecar.ts`.

import type { AddressInfo } from 'node:net'
import path from 'node:path'

import type {
  ControlParts,
  Inventory,
  SignedAnswers,
  TaskEnvironment,
  WantedRecords,
  RuleSetView,
} from '../control/parts.ts'
import { ControlServer } from '../control/server.ts'
import type { CredentialStore } from '../credentials/store.ts'
import type { Holds } from '../ledger/holds/holds.ts'
import type { Strangers } from '../identify/strangers.ts'
import type { EnvelopeParts } from './envelope.ts'
import type { TaskListeners } from '../listen/task-listeners.ts'
import type { RuleSet } from '../policy/rule-set.ts'
import type { Log } from '../record/log.ts'
import type * as tail from '../record/read/tail.ts'
import { clientVariables } from './client-variables.ts'
import { credentialViews, type CredentialViewParts } from './credential-views.ts'
import type { Config } from './config.ts'
import { readKeptRules } from './kept-rules.ts'
import { readSetText } from './pinned-rules.ts'
import { makeFlowDesk } from './flow.ts'
import type { Records } from './records.ts'
import type { RuleWatch } from './rule-watch.ts'
import type { TaskRoom } from './task-room.ts'

/** What the parts are made of. */
interface ControlPartsOptions {
  readonly config: Config
  readonly room: TaskRoom
  readonly rules: RuleWatch
  readonly credentials: CredentialStore
  readonly listeners: TaskListeners
  readonly strangers: Strangers
  readonly agents: Pick<EnvelopeParts, 'requests'>
  readonly records: Pick<Records, 'recorder' | 'checkpoints' | 'overrides'>
  readonly holds: Holds
  readonly ages: CredentialViewParts['ages']
  readonly signedAnswers: SignedAnswers
  /** Where the explicit proxy listens, a port that the system chose included; undefined on a unix socket. */
  readonly proxyAddress: () => { readonly host: string; readonly port: number } | undefined
}

const IDENTITIES_MAX = 10_000

/** Makes the control API's listener. */
export function makeControlServer(
  options: ControlPartsOptions,
  version: string,
  log: Log,
): ControlServer {
  const { control, limits } = options.config
  const { tokenFile, principals, tls } = control
  return new ControlServer({
    parts: makeControlParts(options),
    tokenFile,
    principals,
    tls,
    limits,
    version,
    warn: (message) => log.warn(message),
    onUnexpected: (error) => log.error({ err: error }, 'the control API'),
  })
}

function makeControlParts(options: ControlPartsOptions): ControlParts {
  const { config, room, records } = options
  const { recorder, checkpoints, overrides } = records
  const { dir } = config.journal
  return {
    tasks: room.desk,
    kills: room.switches,
    owners: room.switches,
    overrides,
    holds: options.holds,
    signedAnswers: options.signedAnswers,
    flow: makeFlowDesk(room, recorder),
    requests: options.agents.requests,
    environmentFor: (taskId, token) => environmentOf(taskId, token, options),
    rules: rulesOf(options),
    credentials: () => credentialViews({ ...options, definitions: config.credentials }),
    inventory: () => inventoryOf(options),
    calls: {
      recent: async (limit, wanted) => (await loadTail()).latestRecords(dir, limit, wanted),
      follow: (wanted, onRecord) => follow(dir, wanted, onRecord),
    },
    receiptKey: () => room.signer.publicKey,
    checkpoints: {
      show: () => checkpoints.view,
      make: () => checkpoints.make(),
      makeOf: (taskId) => {
        const entry = room.registry.entries.get(taskId)
        return entry === undefined ? undefined : checkpoints.makeOf(entry.task)
      },
    },
    record: (action, detail) => recorder.recordEvent(action, { detail }),
    recorded: () => recorder.settled(),
  }
}

function inventoryOf({ room, config, strangers }: ControlPartsOptions): Inventory {
  const live = [...room.registry.entries.live].toReversed()
  return {
    tasks: live.length,
    sandboxes: [...new Set(live.map(({ task }) => task.sandbox.id))],
    identities: live.slice(0, IDENTITIES_MAX).map(({ task, state }) => ({
      task: task.id,
      state,
      agent: task.agent.account,
      instance: task.agent.instance,
      owner: task.owner.name,
      sandbox: task.sandbox.id,
      ...(task.subject !== undefined && { subject: task.subject }),
      credentials: [...room.policies.credentialsOf(task)],
    })),
    more: live.length > IDENTITIES_MAX,
    credentials: config.credentials.map(({ name }) => name),
    unknownClients: strangers.list().map(({ address, reason, firstSeen, lastSeen, count }) => ({
      standing: 'unknown-client',
      address,
      reason,
      firstSeen: new Date(firstSeen).toISOString(),
      lastSeen: new Date(lastSeen).toISOString(),
      count,
    })),
  }
}

function environmentOf(
  taskId: string,
  token: string | undefined,
  options: ControlPartsOptions,
): TaskEnvironment {
  const { config, room, listeners, credentials, proxyAddress } = options
  const address = proxyAddress()
  const authority = room.certificates.of(taskId)
  const directory = authority?.directory ?? config.ca.dir
  const login = token === undefined ? undefined : { user: taskId, password: token }
  const entry = room.registry.entries.get(taskId)
  const variables = clientVariables({
    proxy: address && { ...address, ...(login && { login }) },
    caFile: path.join(directory, 'ca.crt'),
    bundleFile: path.join(directory, 'ca-bundle.crt'),
  })
  return {
    proxy: variables['HTTPS_PROXY'],
    ...(entry?.kept.hasListener === true && { socket: listeners.pathOf(taskId) }),
    env: { ...variables, ...credentials.placeholderVariables(taskId) },
  }
}

function rulesOf({
  config,
  rules,
  records: { recorder },
}: ControlPartsOptions): ControlParts['rules'] {
  return {
    show: () => [...(rules.inForce?.sets.values() ?? [])].map(viewOf),
    find: (version) => {
      const text = rules.inForce?.texts.get(version) ?? readKeptRules(config.stateDir, version)
      const set = text === undefined ? undefined : readSetText(text, version, config.limits)
      if (text === undefined || set === undefined) return undefined
      const inForce = rules.inForce?.sets.get(set.name)?.version === version
      return { ...viewOf(set), inForce, text }
    },
    reload: ({ name }) => {
      const before = rules.inForce?.digest
      const inForce = rules.reload()
      recorder.recordEvent('rules-reload-asked', { detail: { actor: name, inForce } })
      return {
        inForce,
        changed: rules.inForce?.digest !== before,
        problems: rules.refusedProblems.map(({ file, line, column, message }) => ({
          file: path.relative(process.cwd(), file),
          line,
          column,
          message,
        })),
      }
    },
  }
}

function viewOf({ name, version, description, owner, for: whom }: RuleSet): RuleSetView {
  return {
    name,
    version,
    ...(description !== undefined && { description }),
    ...(owner !== undefined && { owner }),
    ...(whom && { for: whom }),
  }
}

// Regular expressions come with it, and few sidecars are ever asked.
async function loadTail(): Promise<Pick<typeof tail, 'latestRecords' | 'tailRecords'>> {
  return import('../record/read/tail.ts')
}

function follow(
  dir: string,
  wanted: WantedRecords,
  onRecord: (record: unknown) => void,
): () => void {
  const stop = new AbortController()
  const filter = { ...wanted, since: Date.now() }
  const run = async (): Promise<void> => {
    const { signal } = stop
    const { tailRecords } = await loadTail()
    for await (const { record } of tailRecords(dir, { filter, follow: true, signal }))
      onRecord(record)
  }
  // A journal that cannot be read any more ends the following, not the sidecar.
  run().catch(() => stop.abort())
  return () => stop.abort()
}

/** Where clients on this machine reach a listener; undefined for a unix socket. */
export function reachableAddress(
  bound: AddressInfo | string | null,
): { readonly host: string; readonly port: number } | undefined {
  if (typeof bound !== 'object' || bound === null) return undefined
  const { address, port } = bound
  return { host: address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address, port }
}
