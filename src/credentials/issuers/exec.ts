// Credentials that a program of the operator's prints, once for every task. Deliberately no shell, and nothing of a task in the
// words of the command: what the task says is in variables whose names begin with SALLYPORT_. Made by `config/credentials/issuers.ts`.

import type { ExecSourceDefinition } from '../source-definition.ts'
import {
  ProviderError,
  type Issuer,
  type Minted,
  type MintRequest,
  type Revocation,
  type RevocationHandle,
} from '../issuer.ts'
import {
  isObject,
  makeMaterial,
  readEnd,
  readLifetime,
  readObject,
  type JsonObject,
} from '../material.ts'
import { runProgram } from '../run-program.ts'
import { requireSameOwner } from '../scope.ts'

/** What such an issuer needs. */
export interface ExecIssuerOptions {
  /** The sidecar's variables: the program gets PATH and those that it is to have. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly limits: {
    readonly providerTimeoutMs: number
    readonly providerAnswerBytesMax: number
    readonly secretBytesMax: number
  }
  /** Epoch milliseconds. */
  readonly now: () => number
}

// What the provider calls it may be said in records; anything that is no plain word is not.
const PLAIN_ID = /^[\w.:/@-]{1,128}$/
const PRINTED = 'what the program printed'

/** Runs the program of one definition. */
export class ExecIssuer implements Issuer {
  readonly isStatic: boolean
  readonly #definition: ExecSourceDefinition
  readonly #options: ExecIssuerOptions

  constructor(definition: ExecSourceDefinition, options: ExecIssuerOptions) {
    this.isStatic = definition.isStatic
    this.#definition = definition
    this.#options = options
  }

  /** @throws ProviderError */
  async mint(request: MintRequest): Promise<Minted> {
    const { task, notAfter, signal } = request
    // What is the same for all tasks knows none of them.
    const facts = this.isStatic
      ? {}
      : { ...factsOf(request), SALLYPORT_NOT_AFTER: new Date(notAfter).toISOString() }
    const { command, revoke } = this.#definition
    if (signal.aborted) throw new ProviderError('the program was given up')
    // Whoever asks may leave; what is printed after that is taken back where it can be.
    const until = revoke === undefined ? signal : new AbortController().signal
    const printed = await this.#run(command, facts, until)
    const handle = revoke === undefined ? undefined : { printed, task: task.id }
    try {
      const { now, limits } = this.#options
      return { ...readPrinted(printed, now(), limits.secretBytesMax), handle }
    } catch (error) {
      // Nobody else would know of it.
      if (handle !== undefined) await this.#giveBack(handle)
      throw error
    }
  }

  /** @throws ProviderError */
  async revoke(handle: RevocationHandle, signal: AbortSignal): Promise<Revocation> {
    const { printed, task } = handle
    const { revoke } = this.#definition
    if (revoke === undefined) throw new ProviderError('there is no program to revoke it')
    await this.#run(revoke, { SALLYPORT_TASK: String(task) }, signal, String(printed))
    return 'confirmed'
  }

  // What is in no use; that it cannot be used is what is told.
  async #giveBack(handle: RevocationHandle): Promise<void> {
    try {
      await this.revoke(handle, new AbortController().signal)
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
    }
  }

  #run(
    words: readonly string[],
    facts: Readonly<Record<string, string>>,
    signal: AbortSignal,
    input?: string,
  ): Promise<string> {
    const { environment, limits } = this.#options
    const passed = this.#definition.env.map((name) => {
      const value = environment[name]
      if (value === undefined)
        throw new ProviderError(`the variable \`${name}\` is not set`, { isLasting: true })
      return [name, value] as const
    })
    return runProgram({
      words,
      environment: {
        PATH: environment['PATH'] ?? '/usr/bin:/bin',
        ...Object.fromEntries(passed),
        ...facts,
      },
      outputBytesMax: limits.providerAnswerBytesMax,
      timeoutMs: limits.providerTimeoutMs,
      signal,
      ...(input !== undefined && { input }),
    })
  }
}

/**
 * What the program is told of whom it works for. The params are the root task's: what it prints for a task below can be no
 * wider for one that the task above it did not have, or had otherwise.
 */
function factsOf({ task, above }: MintRequest): Record<string, string> {
  requireSameOwner({ task, above })
  const facts: Record<string, string> = {
    SALLYPORT_TASK: task.id,
    SALLYPORT_OWNER: task.owner.name,
    SALLYPORT_TEAM: task.owner.team,
    SALLYPORT_AGENT: task.agent.account,
  }
  const root = above.at(-1) ?? task
  for (const [name, value] of Object.entries(root.params)) {
    if ([task, ...above].some(({ params }) => (params[name] ?? value) !== value))
      throw new ProviderError('it would be wider than that of a task above', { isLasting: true })
    const variable = `SALLYPORT_PARAM_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`
    if (variable in facts)
      throw new ProviderError('two params have one variable', { isLasting: true })
    facts[variable] = value
  }
  return facts
}

function readPrinted(text: string, now: number, bytesMax: number): Omit<Minted, 'handle'> {
  const printed = readObject(text, PRINTED)
  const { status } = printed
  // `aws` and `kubectl` run programs that print these: what there is already serves.
  if (printed['kind'] === 'ExecCredential' && isObject(status))
    return ofKubernetes(status, bytesMax)
  if (printed['Version'] === 1 && 'AccessKeyId' in printed) return ofAws(printed, bytesMax)
  if (printed['expiresAt'] !== undefined && printed['expiresIn'] !== undefined)
    throw new ProviderError('`expiresAt` and `expiresIn` are both there')
  const { id } = printed
  return {
    material: makeMaterial(printed, bytesMax),
    expiresAt:
      readEnd(printed['expiresAt'], 'expiresAt') ??
      readLifetime(printed['expiresIn'], 'expiresIn', now),
    ...(typeof id === 'string' && PLAIN_ID.test(id) && { id }),
  }
}

function ofAws(printed: JsonObject, bytesMax: number): Omit<Minted, 'handle'> {
  const given = {
    accessKeyId: printed['AccessKeyId'],
    secretAccessKey: printed['SecretAccessKey'],
    sessionToken: printed['SessionToken'],
  }
  return {
    material: makeMaterial(given, bytesMax),
    expiresAt: readEnd(printed['Expiration'], 'Expiration'),
  }
}

function ofKubernetes(status: JsonObject, bytesMax: number): Omit<Minted, 'handle'> {
  const given = {
    value: status['token'],
    certificate: status['clientCertificateData'],
    key: status['clientKeyData'],
  }
  return {
    material: makeMaterial(given, bytesMax),
    expiresAt: readEnd(status['expirationTimestamp'], 'expirationTimestamp'),
  }
}
