// What a task declares it will do, and the digest by which every record names that. Pure. Called by whoever makes a task, and
// by `desk.ts` where an approver extends it: nobody else changes it.

import { canonicalJson, sha256 } from './canonical.ts'
import { ControlError } from './control-error.ts'
import type { Task } from './task.ts'

/** What a task declares. */
export interface Declaration {
  readonly intent: string
  /** Words for machines, each once, in the order in which they were written. */
  readonly capabilities?: readonly string[] | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
}

/** What an approver adds to it. */
export interface IntentExtension {
  /** Replaces the free text. */
  readonly intent?: string | undefined
  readonly addCapabilities?: readonly string[] | undefined
  /** By name; one that is there already is given another value. */
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** Put on record. */
  readonly reason: string
}

/** How many capabilities, and how many labels, a task can have. */
export const DECLARED_MAX = 64

/**
 * The members of a task that its declaration makes; what is not declared is not there.
 * The digest is that of the intent's text alone unless there are capabilities or labels; else of the canonical JSON of all.
 */
export function declarationOf(
  declared: Declaration,
): Pick<Task, 'intent' | 'intentDigest' | 'capabilities' | 'labels'> {
  const { intent, capabilities = [], labels = {} } = declared
  const more = {
    ...(capabilities.length > 0 && { capabilities: [...capabilities] }),
    ...(Object.keys(labels).length > 0 && { labels: { ...labels } }),
  }
  const isPlain = Object.keys(more).length === 0
  const text = isPlain ? intent : canonicalJson({ intent, ...more })
  return { intent, intentDigest: `sha256:${sha256(text)}`, ...more }
}

/** A declaration with what an approver adds. @throws ControlError definition-invalid where it would be too long */
export function extendDeclaration(
  { intent, capabilities = [], labels = {} }: Declaration,
  extension: IntentExtension,
): Declaration {
  const extended = {
    intent: extension.intent ?? intent,
    capabilities: [...new Set([...capabilities, ...(extension.addCapabilities ?? [])])],
    labels: { ...labels, ...extension.labels },
  }
  if (extended.capabilities.length > DECLARED_MAX)
    throw new ControlError(
      'definition-invalid',
      `a task has at most ${DECLARED_MAX} capabilities`,
      '/addCapabilities',
    )
  if (Object.keys(extended.labels).length > DECLARED_MAX)
    throw new ControlError(
      'definition-invalid',
      `a task has at most ${DECLARED_MAX} labels`,
      '/labels',
    )
  return extended
}

/**
 * Refuses capabilities that the parent does not have; one that declares none binds its children to none.
 * @param field where they were written
 * @throws ControlError delegation-widening
 */
export function checkCapabilities(
  capabilities: readonly string[] | undefined,
  parent: Pick<Task, 'capabilities'> | undefined,
  field: string,
): void {
  const theirs = parent?.capabilities
  if (theirs === undefined) return
  const beyond = capabilities?.find((each) => !theirs.includes(each))
  if (beyond !== undefined)
    throw new ControlError(
      'delegation-widening',
      `axis capabilities: the parent does not have ${beyond}`,
      field,
    )
}
