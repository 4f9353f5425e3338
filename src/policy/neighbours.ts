// Rules by the hosts and the first path segments that they are for, so that of thousands each is held only against those that
// it may have a call in common with. What it leaves out has none; what it finds need not have one. Pure; called by the
// checks that look at several rules together.

import type { PathPattern } from './path-pattern.ts'
import type { HostPattern } from './rule-set.ts'

/** What is looked for by host and path. */
export interface Placed {
  readonly host: HostPattern
  /** Undefined: any. */
  readonly paths: readonly PathPattern[] | undefined
}

interface Bucket<Item> {
  readonly all: Item[]
  /** By a first segment that is one text. */
  readonly byHead: Map<string, Item[]>
  /** Those whose first segment may be any. */
  readonly headless: Item[]
}

/** Items by host and path. */
export class Neighbours<Item extends Placed> {
  readonly #order: ReadonlyMap<Item, number>
  readonly #one: Map<string, Bucket<Item>> = new Map()
  /** Those whose suffix it is. */
  readonly #below: Map<string, Bucket<Item>> = new Map()
  /** Those whose names are below a suffix. */
  readonly #under: Map<string, Bucket<Item>> = new Map()
  readonly #any: Bucket<Item> = makeBucket()
  readonly #names: Bucket<Item> = makeBucket()
  readonly #addresses: Bucket<Item> = makeBucket()

  constructor(items: readonly Item[]) {
    this.#order = new Map(items.map((item, at) => [item, at]))
    for (const item of items) this.#add(item)
  }

  /** Finds what may have a call in common with something, itself among it, in the order that was given. */
  near({ host, paths }: Placed): Item[] {
    const heads = headsOf(paths)
    const found = new Set(this.#bucketsFor(host).flatMap((bucket) => pick(bucket, heads)))
    return [...found].sort((one, other) => this.#orderOf(one) - this.#orderOf(other))
  }

  #orderOf(item: Item): number {
    return this.#order.get(item) ?? 0
  }

  #bucketsFor(host: HostPattern): (Bucket<Item> | undefined)[] {
    if (isAddress(host)) return [this.#addresses]
    if (host.kind === 'any') return [this.#names]
    if (host.kind === 'param') return [this.#one.get(keyOf(host)), this.#any]
    const name = host.kind === 'below' ? host.suffix : host.kind === 'exact' ? host.host : ''
    const wider = [...suffixesOf(name)].map((suffix) => this.#below.get(suffix))
    if (host.kind === 'exact') return [this.#one.get(keyOf(host)), ...wider, this.#any]
    return [this.#under.get(name), this.#below.get(name), ...wider, this.#any]
  }

  #add(item: Item): void {
    const { host } = item
    if (isAddress(host)) return put(this.#addresses, item)
    put(this.#names, item)
    if (host.kind === 'any') return put(this.#any, item)
    if (host.kind === 'below') put(bucketAt(this.#below, host.suffix), item)
    else put(bucketAt(this.#one, keyOf(host)), item)
    const name = host.kind === 'below' ? host.suffix : host.kind === 'exact' ? host.host : ''
    for (const suffix of suffixesOf(name)) put(bucketAt(this.#under, suffix), item)
  }
}

function makeBucket<Item>(): Bucket<Item> {
  return { all: [], byHead: new Map(), headless: [] }
}

function bucketAt<Item>(buckets: Map<string, Bucket<Item>>, key: string): Bucket<Item> {
  const bucket = buckets.get(key) ?? makeBucket<Item>()
  buckets.set(key, bucket)
  return bucket
}

function put<Item extends Placed>(bucket: Bucket<Item>, item: Item): void {
  bucket.all.push(item)
  const heads = headsOf(item.paths)
  if (heads === undefined) bucket.headless.push(item)
  for (const head of heads ?? []) {
    const known = bucket.byHead.get(head)
    if (known) known.push(item)
    else bucket.byHead.set(head, [item])
  }
}

function pick<Item>(
  bucket: Bucket<Item> | undefined,
  heads: ReadonlySet<string> | undefined,
): readonly Item[] {
  if (bucket === undefined) return []
  if (heads === undefined) return bucket.all
  return [...bucket.headless, ...[...heads].flatMap((head) => bucket.byHead.get(head) ?? [])]
}

// Undefined where a first segment may be any; `/` has none, which is a head of its own.
function headsOf(paths: readonly PathPattern[] | undefined): ReadonlySet<string> | undefined {
  if (paths === undefined) return undefined
  const heads = new Set<string>()
  for (const { segments } of paths) {
    const [first] = segments
    if (first === undefined) heads.add('/')
    else if (first === 'deep' || !first.every(({ kind }) => kind === 'text')) return undefined
    else heads.add(first.map((part) => (part.kind === 'text' ? part.text : '')).join(''))
  }
  return heads
}

function isAddress(host: HostPattern): boolean {
  return host.kind === 'range' || (host.kind === 'exact' && host.isAddress)
}

function keyOf(host: HostPattern): string {
  if (host.kind === 'param') return `{${host.name}}`
  return host.kind === 'exact' ? host.host : ''
}

function* suffixesOf(name: string): Generator<string> {
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
    yield name.slice(dot + 1)
}
