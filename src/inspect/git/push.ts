// Reads the body of a push as far as rules have to know it: its commands, and as much of the pack behind them as it takes to
// tell which updates keep every commit that was there. Deliberately holds back no bytes and judges nothing. Pure; fed by
// `understand/`.

import { EgressError } from '../../errors.ts'
import type { GitCommand, GitSubject } from '../../policy/subject.ts'
import { Ancestry } from './ancestry.ts'
import { PUSH_BOUNDS, type PushBounds } from './bounds.ts'
import { CommandListReader, type PushCapabilities, type RefUpdate } from './command-list.ts'
import { PackReader } from './pack-reader.ts'
import { PktLineReader } from './pkt-line.ts'
import type { GitRequest } from './request.ts'

/** What was read of a push. */
export interface Push {
  /** As rules see it. */
  readonly subject: GitSubject
  /** Of the client, for a refusal. */
  readonly capabilities: PushCapabilities
  /** What the client asks of the server beyond its commands, such as `ci.skip`; the protocol gives them no meaning. */
  readonly options: readonly string[]
  /** Bytes of the body in front of the pack. */
  readonly commandBytes: number
  /** Whether a pack follows at all; otherwise the body ends behind the commands. */
  readonly hasPack: boolean
}

type Claim = { readonly isShown: boolean } | undefined

/** Reads one push. */
export class PushReader {
  readonly #request: GitRequest
  readonly #bounds: PushBounds
  readonly #lines = new PktLineReader()
  readonly #list: CommandListReader
  #claims: readonly Claim[] = []
  #ancestry: Ancestry | undefined
  #pack: PackReader | undefined
  #push: Push | undefined

  /** @param request with the step `push` */
  constructor(request: GitRequest, bounds: PushBounds = PUSH_BOUNDS) {
    this.#request = request
    this.#bounds = bounds
    this.#list = new CommandListReader(bounds.commandsMax)
  }

  /**
   * Takes the next bytes of the body, which need not be kept; what was read is the same from the first time on that it is
   * returned.
   * @throws malformed-body, body-too-large
   */
  push(chunk: Uint8Array): Push | 'more' {
    if (this.#push) return this.#push
    if (this.#pack) this.#readPack(chunk)
    else this.#readCommands(chunk)
    return this.#conclude()
  }

  /**
   * Says that the body has ended.
   * @throws malformed-body where it ended within the commands
   */
  end(): Push {
    if (!this.#push && !this.#pack)
      throw new EgressError('malformed-body', { part: 'push', why: 'incomplete' })
    this.#pack?.end(this.#isWanted)
    const push = this.#conclude()
    if (push === 'more') throw new EgressError('internal', { part: 'push' })
    return push
  }

  #readCommands(chunk: Uint8Array): void {
    this.#lines.append(chunk)
    while (!this.#list.ended) {
      const line = this.#lines.next()
      if (line === undefined) return
      this.#list.take(line)
      if (this.#lines.consumedBytes > this.#bounds.commandBytesMax)
        throw new EgressError('body-too-large', { part: 'commands' })
    }
    const ancestry = new Ancestry(this.#list.shallow, this.#bounds.stepsMax)
    this.#ancestry = ancestry
    this.#claims = this.#list.updates.map(({ ref, before, after }) =>
      before === undefined || after === undefined || isTag(ref)
        ? undefined
        : ancestry.claim(before, after),
    )
    this.#pack = new PackReader(this.#list.objectFormat, this.#bounds, (id, parents) =>
      ancestry.add(id, parents),
    )
    this.#readPack(this.#lines.takeRest())
  }

  #readPack(chunk: Uint8Array): void {
    if (this.#isWanted()) this.#pack?.push(chunk, this.#isWanted)
  }

  readonly #isWanted = (): boolean => this.#ancestry?.isOpen ?? false

  #conclude(): Push | 'more' {
    if (this.#push) return this.#push
    if (!this.#pack || (this.#isWanted() && !this.#pack.hasEnded)) return 'more'
    const { repo, service } = this.#request
    const { updates, capabilities, options } = this.#list
    const commands = updates.map((update, at) => describeUpdate(update, this.#claims[at]))
    this.#push = {
      subject: { repo, service, commands },
      capabilities,
      options,
      commandBytes: this.#lines.consumedBytes,
      hasPack: commands.some(({ change }) => change !== 'delete'),
    }
    return this.#push
  }
}

// To git too no tag follows from another one: to move one takes force.
function isTag(ref: string): boolean {
  return ref.startsWith('refs/tags/')
}

function describeUpdate({ ref, before, after }: RefUpdate, claim: Claim): GitCommand {
  if (before === undefined) return { ref, change: 'create' }
  if (after === undefined) return { ref, change: 'delete' }
  return { ref, change: 'update', update: claim?.isShown ? 'fast-forward' : 'unproven' }
}
