// What time changes for calls that are open: at the end of a window, or where a rule begins or expires, the rules are asked again
// what they were asked before, as they are now, and what they do not allow any more is cut. Deliberately has no timer: the
// sweep over open calls asks here once a second, and a call without such rules is none of its business. Made by `sidecar.ts`.

import type { Call } from '../call.ts'
import type { Reason } from '../errors.ts'
import { judge, type Rules } from '../judge.ts'
import type { TimedCall } from '../listen/open-calls.ts'
import type { Dialer } from '../net/dial.ts'
import { decideConnectTogether } from '../policy/conjunction.ts'
import type { ConnectDecision, Decision } from '../policy/decision.ts'
import { inTurns } from '../tasks/turns.ts'
import type { CanonicalRequest } from '../wire/receive.ts'
import type { TaskRoom } from './task-room.ts'

/** What asking again needs. */
interface TimeChangesParts {
  readonly room: Pick<TaskRoom, 'clock' | 'policies'>
  readonly dialer: Pick<Dialer, 'wouldStayDialed'>
}

/** Asks again for calls whose time has come. */
export class TimeChanges {
  readonly #parts: () => TimeChangesParts
  /** When to ask next, where that is not what the decision says any more. */
  readonly #next: WeakMap<Call, number> = new WeakMap()

  /** @param parts as they are once the sidecar runs */
  constructor(parts: () => TimeChangesParts) {
    this.#parts = parts
  }

  /** Looks at calls that left and whose decision time may change; those that are not allowed any more are cut. */
  readonly look = (calls: readonly TimedCall[]): void => {
    const due = calls.filter(({ call }) => this.#isDue(call))
    if (due.length > 0) void inTurns(due, (timed) => this.#askOrCut(timed))
  }

  #isDue(call: Call): boolean {
    const at = this.#next.get(call) ?? call.decision?.revisitAt
    return at !== undefined && this.#now() >= at
  }

  // What goes wrong with one is no reason to let it go on, nor to keep the others waiting.
  #askOrCut(timed: TimedCall): void {
    try {
      this.#askAgain(timed)
    } catch {
      timed.call.cut('internal')
    }
  }

  #askAgain({ call, contents }: TimedCall): void {
    // A sweep may have come by while this one waited for its turn.
    if (!this.#isDue(call) || call.identity === undefined) return
    const policies = this.#parts().room.policies.chainOf(call.identity.task)
    if (policies === undefined) return call.cut('policy-unavailable')
    // What was read since is not time's doing: whoever raises that mark cuts by it.
    const rules: Rules = { policies, moment: () => ({ now: this.#now(), read: 'public' }) }
    let next = Infinity
    for (const decision of decisionsOn({ call, contents }, rules)) {
      const reason = this.#objection(call, decision)
      if (reason !== undefined) return call.cut(reason)
      next = Math.min(next, decision.revisitAt ?? Infinity)
    }
    this.#next.set(call, next)
  }

  #objection(call: Call, decision: Decision | ConnectDecision): Reason | undefined {
    const { verdict, reason, addresses } = decision
    // What a person has approved stays so; what none has been asked about is not allowed.
    if (verdict === 'deny' || (verdict === 'hold' && call.decision?.hold === undefined))
      return reason
    if ('mode' in decision && !isAsStrict(call.tunnelMode, decision.mode))
      return 'protocol-not-allowed'
    const endpoint = call.request?.endpoint ?? call.tunnel
    if (endpoint === undefined || call.upstream === undefined) return undefined
    const { address } = call.upstream
    // A proxy above that was asked for the name knows the address alone.
    return address === undefined ||
      this.#parts().dialer.wouldStayDialed(endpoint, addresses, address)
      ? undefined
      : 'resolved-address-denied'
  }

  #now(): number {
    return this.#parts().room.clock.now()
  }
}

/** The answers to what was asked when the call was let out. */
function decisionsOn(
  { call, contents }: TimedCall,
  rules: Rules,
): readonly (Decision | ConnectDecision)[] {
  const { request, tunnel } = call
  if (request === undefined)
    return tunnel === undefined
      ? []
      : [decideConnectTogether(rules.policies, tunnel, rules.moment())]
  if (contents === undefined) return [decideHead(request, rules)]
  return contents.map((content) => judge(rules, request, content).decision)
}

// Where rules look inside by now, and what the call says was not read, nothing shows that they allow it.
function decideHead(request: CanonicalRequest, rules: Rules): Decision {
  const { decision } = judge(rules, request, undefined)
  if (decision.inspectors === undefined) return decision
  return judge(rules, request, { fault: 'outside-time-window' }).decision
}

// A tunnel that is relayed cannot be looked into any more, nor held to a server name.
function isAsStrict(
  now: ConnectDecision['mode'] | undefined,
  asked: ConnectDecision['mode'],
): boolean {
  if (now === asked || now === 'inspect') return true
  return now === 'tls' && asked === 'tcp'
}
