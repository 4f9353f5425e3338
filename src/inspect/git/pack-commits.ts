// The commits of a pack, whole ones and those that are deltas of others in the same pack, and what they name as parents.
// Deliberately keeps nothing of trees, files and tags. Pure; called by `pack-reader.ts`.

import { createHash } from 'node:crypto'

import type { Budget, PushBounds } from './bounds.ts'
import { ID_LENGTHS, type ObjectFormat } from './command-list.ts'
import { applyDelta, readResultSize } from './delta.ts'

/** Called with each commit that was understood. */
export type OnCommit = (id: string, parents: readonly string[]) => void

interface Pending {
  readonly offset: number
  readonly delta: Buffer
}

interface Found {
  readonly offset: number
  readonly content: Buffer
}

/** Collects the commits of one pack. */
export class PackCommits {
  readonly #format: ObjectFormat
  readonly #commitBytesMax: number
  readonly #budget: Budget
  readonly #onCommit: OnCommit
  readonly #byOffset = new Map<number, Buffer>()
  readonly #byId = new Map<string, Buffer>()
  /** Deltas by what their base is known by; most of them are of trees, and stay. */
  readonly #pending = new Map<string | number, Pending[]>()
  readonly #pendingOffsets = new Set<number>()

  /** @param budget for what deltas are made into */
  constructor(format: ObjectFormat, bounds: PushBounds, budget: Budget, onCommit: OnCommit) {
    this.#format = format
    this.#commitBytesMax = bounds.commitBytesMax
    this.#budget = budget
    this.#onCommit = onCommit
  }

  /** Takes a whole commit. @param offset where its entry begins */
  addCommit(offset: number, content: Buffer): void {
    const found: Found[] = [{ offset, content }]
    for (let next = found.pop(); next; next = found.pop()) this.#learn(next, found)
  }

  /** Takes a delta. @param base where its base's entry begins, or the base's name */
  addDelta(offset: number, base: number | string, delta: Buffer): void {
    const content = typeof base === 'number' ? this.#byOffset.get(base) : this.#byId.get(base)
    const pending = { offset, delta }
    if (content !== undefined) {
      const made = this.#make(content, pending)
      if (made !== undefined) this.addCommit(offset, made)
      // A base that is an offset stands in front of its delta: if it is neither commit nor pending, it is no commit.
    } else if (typeof base === 'string' || this.#pendingOffsets.has(base)) {
      this.#pendingOffsets.add(offset)
      const others = this.#pending.get(base)
      if (others === undefined) this.#pending.set(base, [pending])
      else others.push(pending)
    }
  }

  #learn({ offset, content }: Found, found: Found[]): void {
    const id = nameCommit(content, this.#format)
    this.#byOffset.set(offset, content)
    this.#byId.set(id, content)
    this.#onCommit(id, readParents(content, ID_LENGTHS[this.#format]))
    for (const base of [offset, id]) {
      const waiting = this.#pending.get(base) ?? []
      this.#pending.delete(base)
      for (const pending of waiting) {
        const made = this.#make(content, pending)
        if (made !== undefined) found.push({ offset: pending.offset, content: made })
      }
    }
  }

  #make(base: Buffer, { delta }: Pending): Buffer | undefined {
    const size = readResultSize(delta)
    if (size === undefined || size > this.#commitBytesMax || !this.#budget.spend(size))
      return undefined
    return applyDelta(base, delta)
  }
}

function nameCommit(content: Buffer, format: ObjectFormat): string {
  return createHash(format).update(`commit ${content.length}\0`).update(content).digest('hex')
}

// As git reads them: behind the tree, one a line, and nothing in between.
function readParents(content: Buffer, idLength: number): string[] {
  const parents: string[] = []
  const treeBytes = 'tree '.length + idLength + 1
  const parentBytes = 'parent '.length + idLength + 1
  if (content.toString('latin1', 0, 5) !== 'tree ' || content[treeBytes - 1] !== 0x0a) return []
  for (let at = treeBytes; ; at += parentBytes) {
    const line = content.toString('latin1', at, at + parentBytes)
    const id = line.slice('parent '.length, -1)
    if (!line.startsWith('parent ') || !line.endsWith('\n') || !/^[0-9a-f]+$/.test(id))
      return parents
    if (id.length !== idLength) return parents
    parents.push(id)
  }
}
