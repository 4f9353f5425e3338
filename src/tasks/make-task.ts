// From a definition to the task that it describes, starting now. Pure but for the id; checks nothing: `create.ts` does.

import { makeUlid } from '../wire/ulid.ts'
import { canonicalJson, sha256 } from './canonical.ts'
import { declarationOf } from './intent.ts'
import type { TaskDefinition } from './schema.ts'
import type { Delegation, Sandbox, Task } from './task.ts'

/** Makes a task of a definition. @param now epoch milliseconds */
export function makeTask(definition: TaskDefinition, now: number, parent: Task | undefined): Task {
  const { owner, agent, principal, identity, rules, params, environment, ceiling } = definition
  const { limits } = definition
  const id = `t_${makeUlid(now).toLowerCase()}`
  const begins = beginsAt(definition.notBefore, now)
  return {
    id,
    path: [...(parent?.path ?? []), id],
    ...(parent && { delegation: [...(parent.delegation ?? []), delegationOf(parent)] }),
    ...declarationOf(definition),
    owner: { name: owner.name, team: owner.team },
    agent: { account: agent.account, instance: agent.instance },
    ...(principal !== undefined && { principal }),
    sandbox: sandboxOf(definition.sandbox),
    rules: [...rules],
    params: { ...params },
    environment,
    ceiling,
    ...(definition.observe === true && { observe: true }),
    ...(limits && { limits }),
    sources: identity.sources ?? [],
    ...(identity.subject !== undefined && { subject: identity.subject }),
    startsAt: now,
    ...begins,
    expiresAt: (begins.notBefore ?? now) + definition.expires,
  }
}

/** When a task begins that is made now; nothing where that is at once. Its life is counted from there. */
export function beginsAt(
  notBefore: number | undefined,
  now: number,
): { readonly notBefore?: number } {
  return notBefore === undefined || notBefore <= now ? {} : { notBefore }
}

/** What tells a repeated definition from another: hex SHA-256. */
export function definitionDigest(definition: TaskDefinition): string {
  return sha256(canonicalJson(definition))
}

function delegationOf({ id, agent, owner, intentDigest }: Task): Delegation {
  return {
    task: id,
    agent: agent.account,
    instance: agent.instance,
    owner: owner.name,
    intent: intentDigest,
  }
}

function sandboxOf({ id, image, pid, shared, hooks }: TaskDefinition['sandbox']): Sandbox {
  return {
    id,
    ...(image !== undefined && { image }),
    ...(pid !== undefined && { pid }),
    ...(shared === true && { shared }),
    ...(hooks?.end !== undefined && { hooks: { end: hooks.end } }),
  }
}
