// Which definitions of tools a task has seen, so that a server cannot show one and serve another. The first digest of a tool
// is pinned for the task; a tool that changes, or appears after the list was whole, is refused until the task ends. Kept on
// the disk: a restart must not make a server honest. Deliberately reads no definitions and refuses nothing by itself. Asked
// for every list of tools and every call of one.

import { hash } from 'node:crypto'
import path from 'node:path'

import type { Limits } from '../limits.ts'
import { StateLog } from '../tasks/state-log.ts'

/** What the pins need. */
export interface ToolPinOptions {
  /** Directory of the state. */
  readonly dir: string
  readonly toolsPinnedMax: Limits['toolsPinnedMax']
  /** Told where a change could not be written down; it is in force, and tried again with the next. */
  readonly onProblem: (error: unknown) => void
}

/** A definition as it is seen in a list. */
export interface SeenTool {
  readonly name: string
  /** `sha256:` of its definition. */
  readonly digest: string
  /** The digest that the rule file asks for. */
  readonly pinned?: string
}

/** What became of a definition: `changed` and `added` are refused. */
export type PinVerdict = 'known' | 'first' | 'changed' | 'added'

/** One line of the file. */
interface Pin {
  /** The task and what is pinned; names are digested, so that no line is longer for what a stranger sends. */
  readonly id: string
  /** A tool is `pinned` or `changed`, a server `open` or `complete`, an endpoint an `alias`; `gone`: the task has ended. */
  readonly state: 'pinned' | 'changed' | 'open' | 'complete' | 'alias' | 'gone'
  /** A tool's digest; of an alias, the key of the server. */
  readonly value: string
}

const FILE = 'tool-pins.ndjson'
const STATES: readonly unknown[] = ['pinned', 'changed', 'open', 'complete', 'alias', 'gone']
const ID = /^[^ ]+ [A-Za-z0-9_-]{43}$/

/** The definitions that all tasks have seen. A server is named by origin and path. */
export class ToolPins {
  readonly #options: ToolPinOptions
  readonly #log: StateLog<Pin>
  /** By task, then by id. What could not be written is here all the same. */
  readonly #tasks: Map<string, Map<string, Pin>> = new Map()
  #unwritten: Map<string, Pin> = new Map()

  /** @throws Error where the file cannot be read, or a line of it is not what was written: what was refused must stay so */
  constructor(options: ToolPinOptions) {
    this.#options = options
    this.#log = new StateLog(path.join(options.dir, FILE), isPin)
    for (const pin of this.#log.values()) {
      if (pin.state === 'gone') this.#log.forget(pin.id)
      else this.#pinsOf(pin.id.slice(0, pin.id.indexOf(' '))).set(pin.id, pin)
    }
  }

  /**
   * Takes note of the definitions of a list, in its order, with one write.
   * The first digest of a tool is `first`, the same one again `known`, another `changed`, and so is the tool from then on,
   * also where the first comes back. What was not in the whole list, or is beyond `toolsPinnedMax`, is `added`. A digest
   * that the rule file asks for goes before all this.
   */
  seeAll(taskId: string, server: string, tools: readonly SeenTool[]): readonly PinVerdict[] {
    const key = this.#keyOf(taskId, server)
    const changes: Pin[] = []
    if (tools.length > 0) this.#openServer(taskId, key, changes)
    const verdicts = tools.map((tool) => this.#see(taskId, key, tool, changes))
    this.#write(changes)
    return verdicts
  }

  /** From here on, a tool of the server that the task has not seen is `added`. */
  completeList(taskId: string, server: string): void {
    const id = idOf(taskId, 'server', this.#keyOf(taskId, server))
    const pins = this.#pinsOf(taskId)
    const known = pins.get(id)
    if (known?.state === 'complete' || (known === undefined && this.#isFull(pins))) return
    const pin: Pin = { id, state: 'complete', value: '' }
    pins.set(id, pin)
    this.#write([pin])
  }

  /**
   * Tells whether a tool may be called, by the definition seen last.
   * @param pinned the digest that the rule file asks for
   * @returns `unknown`: no definition of it was seen; `added`: none, although the list was whole or no more are remembered
   */
  check(
    taskId: string,
    server: string,
    name: string,
    pinned?: string,
  ): 'ok' | 'changed' | 'added' | 'unknown' {
    const key = this.#keyOf(taskId, server)
    const pins = this.#tasks.get(taskId)
    const pin = pins?.get(idOf(taskId, 'tool', key, name))
    if (pin === undefined) {
      if (pins === undefined || pinned !== undefined) return 'unknown'
      return this.#isClosed(taskId, key, pins) ? 'added' : 'unknown'
    }
    if (pinned !== undefined) return pin.value === pinned ? 'ok' : 'changed'
    return pin.state === 'pinned' ? 'ok' : 'changed'
  }

  /** The digest of the definition that was seen last; undefined where none was. */
  digestOf(taskId: string, server: string, name: string): string | undefined {
    const id = idOf(taskId, 'tool', this.#keyOf(taskId, server), name)
    return this.#tasks.get(taskId)?.get(id)?.value
  }

  /**
   * Makes one server of two addresses: with the older SSE transport, what is sent goes to an endpoint that the stream names.
   * @returns false where the endpoint is known as another server already, which must not get rid of what was seen of it, or
   * where no more are remembered: nothing may be sent to it then
   */
  alias(taskId: string, endpoint: string, stream: string): boolean {
    if (endpoint === stream) return true
    const pins = this.#pinsOf(taskId)
    const id = idOf(taskId, 'alias', endpoint)
    const key = this.#keyOf(taskId, stream)
    const known = pins.get(id)
    if (known !== undefined) return known.value === key
    if (this.#isFull(pins) || pins.has(idOf(taskId, 'server', digestOf(endpoint)))) return false
    const pin: Pin = { id, state: 'alias', value: key }
    pins.set(id, pin)
    this.#write([pin])
    return true
  }

  /** Forgets what a task has seen. @returns how many tools and servers that were */
  forget(taskId: string): number {
    const pins = this.#tasks.get(taskId)
    if (pins === undefined) return 0
    this.#tasks.delete(taskId)
    this.#write(Array.from(pins.keys(), (id): Pin => ({ id, state: 'gone', value: '' })))
    return pins.size
  }

  /** Closes the file. */
  close(): void {
    this.#write([])
    this.#log.close()
  }

  #openServer(taskId: string, key: string, changes: Pin[]): void {
    const pins = this.#pinsOf(taskId)
    const id = idOf(taskId, 'server', key)
    if (pins.has(id) || this.#isFull(pins)) return
    const pin: Pin = { id, state: 'open', value: '' }
    pins.set(id, pin)
    changes.push(pin)
  }

  #see(taskId: string, key: string, tool: SeenTool, changes: Pin[]): PinVerdict {
    const { name, digest, pinned } = tool
    const pins = this.#pinsOf(taskId)
    const id = idOf(taskId, 'tool', key, name)
    const known = pins.get(id)
    const keep = (state: 'pinned' | 'changed', isWritten = true): void => {
      if (known?.state === state && known.value === digest) return
      if (known === undefined && this.#isFull(pins)) return
      const pin: Pin = { id, state, value: digest }
      pins.set(id, pin)
      if (isWritten) changes.push(pin)
    }
    if (pinned !== undefined) {
      keep(digest === pinned ? 'pinned' : 'changed')
      if (digest !== pinned) return 'changed'
      return known === undefined ? 'first' : 'known'
    }
    if (known === undefined) {
      if (this.#isClosed(taskId, key, pins)) return 'added'
      keep('pinned')
      return 'first'
    }
    if (known.state === 'pinned' && known.value === digest) return 'known'
    // Written once: a server that goes on changing a tool must not make the file grow.
    keep('changed', known.state === 'pinned')
    return 'changed'
  }

  #isClosed(taskId: string, key: string, pins: ReadonlyMap<string, Pin>): boolean {
    return this.#isFull(pins) || pins.get(idOf(taskId, 'server', key))?.state === 'complete'
  }

  #isFull(pins: ReadonlyMap<string, Pin>): boolean {
    return pins.size >= this.#options.toolsPinnedMax
  }

  #keyOf(taskId: string, server: string): string {
    return this.#tasks.get(taskId)?.get(idOf(taskId, 'alias', server))?.value ?? digestOf(server)
  }

  #pinsOf(taskId: string): Map<string, Pin> {
    let pins = this.#tasks.get(taskId)
    if (pins === undefined) {
      pins = new Map()
      this.#tasks.set(taskId, pins)
    }
    return pins
  }

  // What is refused is refused, also where the disk is full.
  #write(changes: readonly Pin[]): void {
    for (const pin of changes) this.#unwritten.set(pin.id, pin)
    if (this.#unwritten.size === 0) return
    const pins = [...this.#unwritten.values()]
    try {
      this.#log.appendAll(pins, true)
    } catch (error) {
      this.#options.onProblem(error)
      return
    }
    this.#unwritten = new Map()
    for (const { id, state } of pins) if (state === 'gone') this.#log.forget(id)
  }
}

function idOf(taskId: string, kind: 'tool' | 'server' | 'alias', of: string, name = ''): string {
  return `${taskId} ${digestOf(JSON.stringify([kind, of, name]))}`
}

function digestOf(text: string): string {
  return hash('sha256', text, 'base64url')
}

function isPin(value: unknown): value is Pin {
  if (typeof value !== 'object' || value === null) return false
  const id: unknown = Reflect.get(value, 'id')
  return (
    typeof id === 'string' &&
    ID.test(id) &&
    STATES.includes(Reflect.get(value, 'state')) &&
    typeof Reflect.get(value, 'value') === 'string'
  )
}
