// A secret by its name. The value is not here: `vault.ts` holds it, and `reveal.ts` is the only door to it (I3). Whatever
// prints, joins, copies or serialises a Secret gets its name. Passed around by every room that names a secret.

import { inspect } from 'node:util'

/** An opaque secret: it carries the credential's name and nothing else. */
export class Secret {
  readonly name: string

  constructor(name: string) {
    this.name = name
    Object.freeze(this)
  }

  toString(): string {
    return `[secret ${this.name}]`
  }

  toJSON(): string {
    return this.toString()
  }

  [Symbol.toPrimitive](): string {
    return this.toString()
  }
}

// Outside the class: a computed name in it has no declaration of its own.
Object.defineProperty(Secret.prototype, inspect.custom, {
  value(this: Secret): string {
    return this.toString()
  },
})
