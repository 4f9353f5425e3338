// What a credential is minted for where that depends on the task: `{param}` in a definition is the task's value. A task below
// another never gets what those above it could not have. Pure; called by the issuers.

import type { Task } from '../tasks/task.ts'
import { ProviderError, type MintRequest } from './issuer.ts'

const PARAM = /\{([A-Za-z][\w-]{0,62})\}/g

/**
 * The texts of a scope with the task's params in their places.
 * @throws ProviderError where the task has no such param, or one above it could not have all of them
 */
export function scopeOf(
  written: readonly string[],
  { task, above }: Pick<MintRequest, 'task' | 'above'>,
): string[] {
  const texts = written.map((text) => fillIn(text, task))
  for (const one of above) {
    const theirs = new Set(written.map((text) => fillIn(text, one)))
    if (texts.some((text) => !theirs.has(text)))
      throw new ProviderError('it would be wider than that of a task above', { isLasting: true })
  }
  return texts
}

/**
 * Refuses what depends on whose task it is where those above are not of the same owner, team and principal.
 * @throws ProviderError
 */
export function requireSameOwner({ task, above }: Pick<MintRequest, 'task' | 'above'>): void {
  const { owner, principal } = task
  for (const one of above)
    if (
      one.owner.name !== owner.name ||
      one.owner.team !== owner.team ||
      one.principal !== principal
    )
      throw new ProviderError('it would be wider than that of a task above', { isLasting: true })
}

/** The params that a scope is made with, each once. */
export function paramsOf(written: readonly string[]): string[] {
  const names = written.flatMap((text) => [...text.matchAll(PARAM)].map(([, name = '']) => name))
  return [...new Set(names)]
}

function fillIn(text: string, { params }: Task): string {
  return text.replaceAll(PARAM, (_, name: string) => {
    const value = Object.hasOwn(params, name) ? params[name] : undefined
    if (value === undefined)
      throw new ProviderError(`the task has no param \`${name}\``, { isLasting: true })
    return value
  })
}
