// From a definition to the task that it describes, starting now. Pure but for the id; checks nothing: `create.ts` does.

import { createHash } from 'node:crypto'

import { makeUlid } from '../wire/ulid.ts'
import type { TaskDefinition } from './schema.ts'
import type { Delegation, Sandbox, Task } from './task.ts'

/** Makes a task of a definition. @param now epoch milliseconds */
export function makeTask(definition: TaskDefinition, now: number, parent: Task | undefined): Task {
  const { intent, owner, agent, principal, identity, rules, params, environment, ceiling } =
    definition
  const id = `t_${makeUlid(now).toLowerCase()}`
  const begins = beginsAt(definition.notBefore, now)
  return {
    id,
    path: [...(parent?.path ?? []), id],
    ...(parent && { delegation: [...(parent.delegation ?? []), delegationOf(parent)] }),
    intent,
    intentDigest: `sha256:${sha256(intent)}`,
    owner: { name: owner.name, team: owner.team },
    agent: { account: agent.account, instance: agent.instance },
    ...(principal !== undefined && { principal }),
    sandbox: sandboxOf(definition.sandbox),
    rules: [...rules],
    params: { ...params },
    environment,
    ceiling,
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

/** JSON with the members of every object in order, so that the order in a file does not count. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  )
}

/** Hex SHA-256 of a text. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
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
