// What the system's own file says of names; looked at once a second, and read again where it is another one. Called by
// `resolve.ts`.

import { readFileSync, statSync } from 'node:fs'

import { canonicalAddress } from '../wire/address.ts'

const LOOK_MS = 1000

/** One file in the format of hosts(5). */
export class HostsFile {
  readonly #file: string
  readonly #now: () => number
  #lookedAt = -Infinity
  #version = ''
  #addresses: ReadonlyMap<string, readonly string[]> = new Map()

  /** @param now milliseconds that only grow */
  constructor(file: string, now: () => number = () => performance.now()) {
    this.#file = file
    this.#now = now
  }

  /** The addresses of a name in lower case, in the file's order; none where there is no file. */
  addressesOf(host: string): readonly string[] {
    const now = this.#now()
    if (now - this.#lookedAt >= LOOK_MS) {
      this.#lookedAt = now
      this.#look()
    }
    return this.#addresses.get(host) ?? []
  }

  #look(): void {
    const version = this.#versionNow()
    if (version === this.#version) return
    this.#addresses = this.#read()
    this.#version = version
  }

  #versionNow(): string {
    const stats = statSync(this.#file, { throwIfNoEntry: false, bigint: true })
    return stats === undefined ? '' : `${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`
  }

  #read(): Map<string, string[]> {
    const addresses = new Map<string, string[]>()
    for (const line of this.#lines()) {
      const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
      const canonical = canonicalAddress(address)
      if (canonical === undefined) continue
      for (const name of new Set(names.map((each) => each.toLowerCase()))) {
        const known = addresses.get(name)
        if (known === undefined) addresses.set(name, [canonical.host])
        else known.push(canonical.host)
      }
    }
    return addresses
  }

  #lines(): string[] {
    try {
      return readFileSync(this.#file, 'utf8').split('\n')
    } catch {
      // A machine without the file, or one that does not show it, has no such answers.
      return []
    }
  }
}
