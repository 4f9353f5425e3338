// Which synthetic address stands for which name of which task. The same one as long as the task lives, nearly always also over
// a restart, and never one for two names of a task: what a client kept cannot come to mean something else. Bounded; ends with
// the task. Filled by `dns-door.ts`; a door that is dialed at such an address may ask what it was given for.

import { hash } from 'node:crypto'

import { EgressError } from '../errors.ts'
import { detachText } from '../wire/authority.ts'
import { SYNTHETIC_COUNT, syntheticAddresses, syntheticNumber } from '../wire/synthetic-address.ts'

interface Given {
  readonly numbers: Map<string, number>
  readonly names: Map<number, string>
}

// One is left free, so that looking for one ends.
const WRITTEN_MAX = SYNTHETIC_COUNT - 2

/** The names of all tasks. */
export class GivenNames {
  readonly #namesMax: number
  readonly #byTask: Map<string, Given> = new Map()

  /** @param namesMax of one task; fewer than there are addresses */
  constructor(namesMax: number) {
    this.#namesMax = Math.min(namesMax, SYNTHETIC_COUNT >> 1)
  }

  /**
   * The addresses of a name for a task.
   * @param host in normal form
   * @param isWritten whether people wrote the name out: those are few, and names that an agent chose leave them their place
   * @throws quota-exceeded where it is one name too many: none that was given is taken back
   */
  addressesFor(
    taskId: string,
    host: string,
    isWritten: () => boolean,
  ): { readonly ipv4: string; readonly ipv6: string } {
    let given = this.#byTask.get(taskId)
    if (given === undefined) {
      given = { numbers: new Map(), names: new Map() }
      this.#byTask.set(taskId, given)
    }
    const { numbers } = given
    const known = numbers.get(host)
    if (known !== undefined) return syntheticAddresses(known)
    const isRoom = numbers.size < this.#namesMax || (numbers.size < WRITTEN_MAX && isWritten())
    if (!isRoom)
      throw new EgressError('quota-exceeded', { limit: 'dnsNamesMax', max: this.#namesMax })
    return syntheticAddresses(give(given, taskId, host))
  }

  /** The name that a synthetic address was given for; undefined where it was not, or not for this task. */
  nameOf(taskId: string, address: string): string | undefined {
    const number = syntheticNumber(address)
    return number === undefined ? undefined : this.#byTask.get(taskId)?.names.get(number)
  }

  /** Forgets the names of a task. @returns how many */
  forget(taskId: string): number {
    const forgotten = this.#byTask.get(taskId)?.numbers.size ?? 0
    this.#byTask.delete(taskId)
    return forgotten
  }
}

// By what the name is, not by when it is asked for: a client that outlives a restart finds the same address again.
function give({ numbers, names }: Given, taskId: string, host: string): number {
  const digest = hash('sha256', `${taskId} ${host}`, 'hex')
  let number = 1 + (Number.parseInt(digest.slice(0, 8), 16) % (SYNTHETIC_COUNT - 1))
  while (names.has(number)) number = 1 + (number % (SYNTHETIC_COUNT - 1))
  const name = detachText(host)
  numbers.set(name, number)
  names.set(number, name)
  return number
}
