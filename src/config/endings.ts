// Everything that ends with a task, in the order in which it ends: what brings calls in, the calls, what they left behind,
// what stood for secrets. Each part is asked by the saga and answers with what it found. Called by `sidecar.ts`.

import type { Call } from '../call.ts'
import { EgressError, type Reason } from '../errors.ts'
import type { Holds } from '../ledger/holds/holds.ts'
import type { CredentialStore } from '../credentials/store.ts'
import type { TakeBack } from '../credentials/take-back.ts'
import type { UpstreamPool } from '../forward/pool.ts'
import type { GivenNames } from '../listen/given-names.ts'
import type { OpenCalls } from '../listen/open-calls.ts'
import type { ProxyServer } from '../listen/server.ts'
import type { TaskListeners } from '../listen/task-listeners.ts'
import type { Dialer } from '../net/dial.ts'
import { KilledTools } from '../tasks/tool-kill.ts'
import type { CallKillScope } from '../tasks/switches.ts'
import { leaseItem } from './revocations.ts'
import type { TaskTools } from './task-tools.ts'
import type { EndingTask, EndsWithTask } from '../tasks/ending.ts'
import type { ReceiptItem } from '../tasks/view.ts'
import type { LeafServers } from '../tls/contexts.ts'
import type { TaskAuthorities } from '../tls/task-ca.ts'

/** What holds something of a task. */
export interface EndingParts {
  readonly listeners: TaskListeners
  readonly proxy: () => ProxyServer
  readonly names: () => Pick<GivenNames, 'forget'>
  readonly openCalls: OpenCalls
  readonly pool: UpstreamPool
  readonly dialer: Dialer
  readonly leafServers: LeafServers
  readonly authorities: TaskAuthorities
  readonly credentials: CredentialStore
  readonly takeBack: Pick<TakeBack, 'endTask' | 'standingsOf'>
  readonly tools: Pick<TaskTools, 'forget'>
  readonly holds: Pick<Holds, 'withdrawWhere'>
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Ends the sandbox of the configuration's own task; undefined: it is not known here. */
  readonly endSandbox: (() => Promise<void>) | undefined
}

/** Makes the list of what ends with a task. */
export function endsWithTask(parts: EndingParts): readonly EndsWithTask[] {
  const { listeners, proxy, openCalls, pool, dialer, leafServers, authorities, credentials } = parts
  const at = (): string => new Date(parts.now()).toISOString()
  const counted = (kind: ReceiptItem['kind'], name: string, count: number): ReceiptItem => ({
    kind,
    name,
    outcome: count === 0 ? 'none' : 'ended',
    count,
    at: at(),
  })
  const simple = (
    kind: ReceiptItem['kind'],
    name: string,
    end: (taskId: string) => number,
  ): EndsWithTask => ({
    kind,
    end: (ending) => Promise.resolve([counted(kind, name, end(ending.task.id))]),
  })
  return [
    // Providers answer while the rest ends.
    { kind: 'credential', end: dropCredentials },
    ...(parts.endSandbox === undefined ? [] : [endsSandbox(parts.endSandbox, at)]),
    simple('listener', 'own listener', (id) => Number(listeners.close(id))),
    simple('holds', 'held calls', (id) =>
      parts.holds.withdrawWhere((path) => path.at(-1) === id, new EgressError('task-ended')),
    ),
    {
      kind: 'calls',
      async end({ task }, deadline) {
        const { cut, open } = await openCalls.endTask(task.id, deadline)
        if (open === 0) return [counted('calls', 'open calls', cut)]
        const detail = `${open} of ${cut} are open still`
        return [
          { kind: 'calls', name: 'open calls', outcome: 'failed', count: cut, at: at(), detail },
        ]
      },
    },
    simple('connections', 'connections of its listener', (id) => proxy().endConnectionsOf(id)),
    simple('pool', 'kept upstream connections', (id) => pool.closeTask(id)),
    simple('dns', 'resolved names', (id) => dialer.forgetTask(id) + parts.names().forget(id)),
    simple('tls', 'interception CA and servers', (id) => {
      const servers = leafServers.dropTask(id)
      return servers + Number(authorities.drop(id))
    }),
    simple('tools', 'definitions of tools', (id) => parts.tools.forget(id)),
    { kind: 'credential', end: reportCredentials },
  ]

  function dropCredentials({ task }: EndingTask): Promise<ReceiptItem[]> {
    parts.takeBack.endTask(task.id)
    // What is being minted is taken back when it is there.
    void credentials.endTask(task.id)
    return Promise.resolve([])
  }

  async function reportCredentials(
    { task, credentialsUsed }: EndingTask,
    deadline: number,
  ): Promise<ReceiptItem[]> {
    const timeoutMs = Math.max(0, deadline - performance.now())
    const leases = await parts.takeBack.standingsOf(task.id, timeoutMs)
    const leased = new Set(leases.map(({ credential }) => credential))
    const others = [...credentialsUsed].filter((name) => !leased.has(name))
    return [
      ...leases.map((standing) => leaseItem(standing, at())),
      ...others.map((name) => (credentials.isStatic(name) ? forgottenItem : goneItem)(name, at())),
    ]
  }
}

// A secret that no issuer mints for a task is as good after it: what stood for it in the sandbox is worthless, and who was
// sent it, still has it.
function forgottenItem(name: string, at: string): ReceiptItem {
  return {
    kind: 'credential',
    name,
    outcome: 'forgotten',
    at,
    detail:
      'the placeholder is worthless; the static secret was sent to its hosts and is valid until rotated',
    residualExposureUntil: null,
  }
}

function goneItem(name: string, at: string): ReceiptItem {
  const detail = 'every lease of it was over before, or none was minted'
  return { kind: 'credential', name, outcome: 'ended', at, detail }
}

/** What runs in the sandbox ends first: it brings all the rest in. A hook of the definition is told after it. */
function endsSandbox(end: () => Promise<void>, at: () => string): EndsWithTask {
  return {
    kind: 'sandbox',
    async end({ task }) {
      // Tasks that are made beside it have sandboxes of their own.
      if (task.proofs?.includes('configuration') !== true) return []
      await end()
      const { id, hooks } = task.sandbox
      return hooks?.end === undefined
        ? [{ kind: 'sandbox', name: id, outcome: 'ended', at: at() }]
        : []
    },
  }
}

/** What a suspended task has under way. */
export interface PauseParts {
  readonly holds: Pick<Holds, 'withdrawWhere'>
  /** Cuts the open calls that match. @returns how many */
  readonly cutCalls: (matches: (call: Call) => boolean, reason: Reason) => number
}

/** Stops what a task that is suspended, and those below it, have under way. @returns how many calls were cut */
export function pauseTask(taskId: string, { holds, cutCalls }: PauseParts): number {
  const cut = cutCalls(isPaused(taskId), 'task-not-active')
  // What a person let through before is asked for anew once the task goes on.
  holds.withdrawWhere((path) => path.includes(taskId), new EgressError('task-not-active'))
  return cut
}

// Its own calls and those of tasks below it. An inspected tunnel stays: it lets nothing out by itself, and the calls inside it
// are refused one by one.
function isPaused(taskId: string): (call: Call) => boolean {
  return ({ task, tunnelMode }) => task?.path.includes(taskId) === true && tunnelMode !== 'inspect'
}

/** Whether the kill switch, thrown for a host, a credential or a tool, cuts a call. */
export function isKilled(scope: CallKillScope, value: string): (call: Call) => boolean {
  if (scope === 'host')
    return ({ request, tunnel }) => (request?.endpoint ?? tunnel)?.host === value
  if (scope === 'credential') return ({ decision }) => decision?.obligations.credential === value
  const killed = new KilledTools([value])
  return ({ request, tools = [] }) =>
    request !== undefined && [...tools].some((name) => killed.has(request.endpoint.host, name))
}
