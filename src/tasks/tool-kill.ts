// What a throw of the kill switch for a tool means: a tool's exact name, everywhere, or `HOST/NAME` for one server. A name
// may itself have a slash in it, so what is written with one is read both ways, and either switches off. Pure. Called by
// `switches.ts` and by what cuts calls.

import { EgressError } from '../errors.ts'
import { normalizeHost } from '../wire/authority.ts'
import { ControlError } from './control-error.ts'

/** @throws ControlError definition-invalid where a throw would stop nothing, or less than is believed */
export function checkToolValue(written: string): void {
  if (!written.includes('*') && !written.endsWith('/') && written.trim() === written) return
  const expected = "expected a tool's exact name, or HOST/NAME; a pattern is not taken"
  throw new ControlError('definition-invalid', expected, '/value')
}

/** The tools that throws of the kill switch name. */
export class KilledTools {
  readonly #everywhere: ReadonlySet<string>
  /** By host, as calls name it. */
  readonly #byHost: Map<string, Set<string>> = new Map()

  /** @param written values of throws, as they were typed */
  constructor(written: readonly string[]) {
    this.#everywhere = new Set(written)
    for (const value of written) {
      const slash = value.indexOf('/')
      const host = hostOf(value.slice(0, Math.max(0, slash)))
      if (host === undefined) continue
      const names = this.#byHost.get(host) ?? new Set()
      this.#byHost.set(host, names.add(value.slice(slash + 1)))
    }
  }

  /** @param host as calls name it */
  has(host: string, name: string): boolean {
    return this.#everywhere.has(name) || this.#byHost.get(host)?.has(name) === true
  }
}

function hostOf(text: string): string | undefined {
  try {
    return normalizeHost(text).host
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    return undefined
  }
}
