// The first part of a push, line by line: shallow commits, what each reference is to become, what the client can do, options.
// What the grammar of gitprotocol-pack(5) does not have is refused, also where git's own server is lenient; so are signed
// pushes, which say their commands in another form. Called by `push.ts`.

import { EgressError } from '../../errors.ts'
import type { PktLine } from './pkt-line.ts'
import { readRefName } from './ref-name.ts'

/** The hash that names objects. */
export type ObjectFormat = 'sha1' | 'sha256'

/** One reference and what it is to become. */
export interface RefUpdate {
  readonly ref: string
  /** Hexadecimal; undefined: the reference is to be made. */
  readonly before: string | undefined
  /** Hexadecimal; undefined: the reference is to be deleted. */
  readonly after: string | undefined
}

/** Of what the client can do, what an answer of ours depends on. */
export interface PushCapabilities {
  readonly reportStatus: boolean
  readonly sideBand: boolean
  readonly atomic: boolean
}

/** Hexadecimal digits of an object's name. */
export const ID_LENGTHS: Readonly<Record<ObjectFormat, number>> = { sha1: 40, sha256: 64 }

const CAPABILITY_BYTES_MAX = 4096
const HEX = /^[0-9a-f]+$/
const CAPABILITIES = /^[\x20-\x7e]*$/
// With a value, git takes these for set; without, object-format for wrong.
const WITHOUT_VALUE: ReadonlySet<string> = new Set([
  'report-status',
  'report-status-v2',
  'side-band-64k',
  'atomic',
  'quiet',
  'push-options',
  'delete-refs',
  'ofs-delta',
])

/** Reads the lines of a push up to its pack. */
export class CommandListReader {
  readonly #commandsMax: number
  readonly #updates: RefUpdate[] = []
  readonly #refs = new Set<string>()
  readonly #shallow = new Set<string>()
  readonly #options: string[] = []
  #capabilities: ReadonlySet<string> = new Set()
  #objectFormat: ObjectFormat = 'sha1'
  #part: 'commands' | 'options' | 'end' = 'commands'

  /** @param commandsMax updates of one push; beyond: `body-too-large` */
  constructor(commandsMax: number) {
    this.#commandsMax = commandsMax
  }

  /** Whether the last line was read: what follows is the pack. */
  get ended(): boolean {
    return this.#part === 'end'
  }

  /** In the order they were sent. */
  get updates(): readonly RefUpdate[] {
    return this.#updates
  }

  /** Commits that are said to have no parents: the client has none of them. */
  get shallow(): ReadonlySet<string> {
    return this.#shallow
  }

  get options(): readonly string[] {
    return this.#options
  }

  get objectFormat(): ObjectFormat {
    return this.#objectFormat
  }

  get capabilities(): PushCapabilities {
    const has = (name: string): boolean => this.#capabilities.has(name)
    return {
      reportStatus: has('report-status') || has('report-status-v2'),
      sideBand: has('side-band-64k'),
      atomic: has('atomic'),
    }
  }

  /**
   * Takes the next line.
   * @throws malformed-body, body-too-large
   */
  take(line: PktLine): void {
    if (line.kind === 'flush') return this.#endPart()
    if (line.kind !== 'data') throw malformed(line.kind)
    const bytes = line.bytes.at(-1) === 0x0a ? line.bytes.subarray(0, -1) : line.bytes
    if (this.#part === 'options') this.#takeOption(bytes)
    else if (bytes.toString('latin1', 0, 8) === 'shallow ') this.#takeShallow(bytes)
    else this.#takeCommand(bytes)
  }

  #endPart(): void {
    const hasOptions = this.#part === 'commands' && this.#capabilities.has('push-options')
    this.#part = hasOptions ? 'options' : 'end'
    const length = ID_LENGTHS[this.#objectFormat]
    // No command, no format: what a client sends to try its credentials, or because it is shallow and has nothing to push.
    if (this.#updates.length > 0 && [...this.#shallow].some((id) => id.length !== length))
      throw malformed('shallow')
  }

  #takeOption(bytes: Buffer): void {
    if (bytes.includes(0) || bytes.includes(0x0a)) throw malformed('push-option')
    this.#options.push(bytes.toString('utf8'))
  }

  #takeShallow(bytes: Buffer): void {
    const id = bytes.toString('latin1', 8)
    const isId = HEX.test(id) && (id.length === ID_LENGTHS.sha1 || id.length === ID_LENGTHS.sha256)
    if (!isId || this.#updates.length > 0) throw malformed('shallow')
    this.#shallow.add(id)
  }

  #takeCommand(bytes: Buffer): void {
    if (this.#updates.length >= this.#commandsMax)
      throw new EgressError('body-too-large', { part: 'commands' })
    const isFirst = this.#updates.length === 0
    const nul = bytes.indexOf(0)
    // One on another line would hide from one reader what the other one takes; a second one no capability can have.
    if (nul >= 0 !== isFirst) throw malformed('nul')
    if (isFirst) this.#readCapabilities(bytes.subarray(nul + 1))
    const update = this.#readUpdate(isFirst ? bytes.subarray(0, nul) : bytes)
    if (this.#refs.has(update.ref)) throw malformed('duplicate ref')
    this.#refs.add(update.ref)
    this.#updates.push(update)
  }

  #readCapabilities(bytes: Buffer): void {
    const text = bytes.toString('latin1')
    if (bytes.length > CAPABILITY_BYTES_MAX || !CAPABILITIES.test(text))
      throw malformed('capabilities')
    const names = new Set<string>()
    for (const capability of text.split(' ').filter((word) => word !== '')) {
      const [name = ''] = capability.split('=', 1)
      if (names.has(name) || (WITHOUT_VALUE.has(name) && name !== capability))
        throw malformed('capabilities')
      names.add(name)
      if (name === 'object-format') this.#objectFormat = readObjectFormat(capability)
    }
    this.#capabilities = names
  }

  #readUpdate(bytes: Buffer): RefUpdate {
    const length = ID_LENGTHS[this.#objectFormat]
    const before = bytes.toString('latin1', 0, length)
    const after = bytes.toString('latin1', length + 1, length * 2 + 1)
    const isSpaced = bytes[length] === 0x20 && bytes[length * 2 + 1] === 0x20
    if (!isSpaced || !HEX.test(before) || !HEX.test(after)) throw malformed('command')
    const ref = readRefName(bytes.subarray(length * 2 + 2))
    if (ref === undefined) throw malformed('ref name')
    const isCreation = isZero(before)
    const isDeletion = isZero(after)
    if (isCreation && isDeletion) throw malformed('no change')
    return { ref, before: isCreation ? undefined : before, after: isDeletion ? undefined : after }
  }
}

function readObjectFormat(capability: string): ObjectFormat {
  if (capability === 'object-format=sha1') return 'sha1'
  if (capability === 'object-format=sha256') return 'sha256'
  throw malformed('object-format')
}

function isZero(id: string): boolean {
  return /^0+$/.test(id)
}

function malformed(why: string): EgressError {
  return new EgressError('malformed-body', { part: 'push', why })
}
