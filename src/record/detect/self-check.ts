// Looks again and again whether the controls that are promised still hold, and puts the result on record with a signature:
// a check that fails is an alert. Deliberately knows none of the checks: `config/self-checks.ts` makes them of the parts
// that run. Made there, asked by readiness and metrics.

import { isoTime, type EventFields } from '../ecs.ts'

/** One control that is looked at. */
export interface SelfCheck {
  /** Lower case, hyphens: `journal-tail`, `key-files`, …. */
  readonly name: string
  /** Failing it is told, and does not make the sidecar unready. */
  readonly isAdvisory?: true
  /** Says why it does not hold, in words that name no secret; undefined where it does. A throw counts as failing. */
  find(): string | undefined | Promise<string | undefined>
}

/** A signature over a text. */
export interface TextSignature {
  /** `kid` of the key. */
  readonly key: string
  /** Base64url, Ed25519. */
  readonly signature: string
}

/** What looking needs. */
export interface SelfCheckOptions {
  readonly checks: readonly SelfCheck[]
  readonly everyMs: number
  readonly sign: (text: string) => TextSignature
  /** Puts the result on record. */
  readonly record: (action: 'self-check', fields: Omit<EventFields, 'now'>) => void
  /** Told of what fails and had not failed before. */
  readonly onFailed: (names: readonly string[]) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** What one check came to. */
interface SelfCheckResult {
  readonly name: string
  readonly outcome: 'pass' | 'fail'
  readonly why?: string
}

/** How the controls stood when they were last looked at. */
export interface SelfCheckState {
  /** Epoch milliseconds; undefined before the first time. */
  readonly at: number | undefined
  readonly results: readonly SelfCheckResult[]
  /** Names of what failed and makes the sidecar unready. */
  readonly failing: readonly string[]
}

/** So soon after the start at the latest. */
const FIRST_AFTER_MS = 2000

// One member a line, so that it can be made again from the record.
function selfCheckText(time: string, results: readonly SelfCheckResult[]): string {
  const lines = results.map(({ name, outcome }) => `${name} ${outcome}`)
  return ['sallyport self-check 1', `time ${time}`, ...lines, ''].join('\n')
}

/** The self-checks of one sidecar. */
export class SelfChecks {
  readonly #options: SelfCheckOptions
  #state: SelfCheckState = { at: undefined, results: [], failing: [] }
  #timer: NodeJS.Timeout
  #isClosed = false

  constructor(options: SelfCheckOptions) {
    this.#options = options
    this.#timer = this.#after(Math.min(FIRST_AFTER_MS, options.everyMs))
  }

  /** How the controls stood when they were last looked at. */
  get state(): SelfCheckState {
    return this.#state
  }

  /** Looks now. */
  async run(): Promise<void> {
    const { checks, sign, record, onFailed, now } = this.#options
    const startedAt = performance.now()
    const results: SelfCheckResult[] = []
    for (const check of checks) results.push(await resultOf(check))
    if (this.#isClosed) return
    const at = now()
    const failed = results.filter(({ outcome }) => outcome === 'fail').map(({ name }) => name)
    const before = this.#state.results.filter(({ outcome }) => outcome === 'fail')
    const begun = failed.filter((name) => !before.some((one) => one.name === name))
    const isVital = (name: string): boolean =>
      checks.some((check) => check.name === name && check.isAdvisory !== true)
    this.#state = { at, results, failing: failed.filter(isVital) }
    if (begun.length > 0) onFailed(begun)
    const time = isoTime(at)
    const ms = Math.round(performance.now() - startedAt)
    const signed = sign(selfCheckText(time, results))
    const isFailing = failed.length > 0
    record('self-check', {
      kind: isFailing ? 'alert' : 'event',
      outcome: isFailing ? 'failure' : 'success',
      detail: { time, checks: results, failed, ms, ...signed },
    })
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #after(ms: number): NodeJS.Timeout {
    return setTimeout(() => void this.#lookOn(), ms).unref()
  }

  async #lookOn(): Promise<void> {
    try {
      await this.run()
    } finally {
      if (!this.#isClosed) this.#timer = this.#after(this.#options.everyMs)
    }
  }
}

async function resultOf(check: SelfCheck): Promise<SelfCheckResult> {
  const { name } = check
  try {
    const why = await check.find()
    return why === undefined ? { name, outcome: 'pass' } : { name, outcome: 'fail', why }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'an error'
    return { name, outcome: 'fail', why: `it could not be looked at: ${code}` }
  }
}
