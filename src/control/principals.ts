// Recognises callers: by a bearer token, by a client certificate, or by the unix socket that they could open. Tokens are
// kept as digests only, compared with all principals in constant time, and read again when their file changes.
// Asked by `server.ts`; what a principal may do is `roles.ts`.

import { createHash, timingSafeEqual, type X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'

import { ADMINISTRATOR, type Principal, type PrincipalDefinition } from './roles.ts'
import { valuesOf } from './guard.ts'

/** What recognising takes. */
export interface PrincipalsOptions {
  readonly tokenFile: string | undefined
  readonly principals: readonly PrincipalDefinition[]
  /** Whether whoever reaches the listener is the administrator where nobody else is named: a unix socket's rule. */
  readonly isSocket: boolean
  /** Told of a token file that cannot be used, or that others can read. */
  readonly warn: (message: string) => void
}

const TOKEN_CHARACTERS_MIN = 16
const TOKEN_CHARACTERS_MAX = 4096
const READABLE_BY_OTHERS = 0o004

interface Known {
  readonly principal: Principal
  readonly token: TokenFile | undefined
  readonly subject: string | undefined
}

/** The principals of one listener. */
export class Principals {
  readonly #known: readonly Known[]
  readonly #isOpen: boolean

  /** @throws Error where a token file cannot be used as it is now, or nobody could be recognised */
  constructor({ tokenFile, principals, isSocket, warn }: PrincipalsOptions) {
    const administrator =
      tokenFile === undefined
        ? []
        : [{ principal: ADMINISTRATOR, token: new TokenFile(tokenFile, warn), subject: undefined }]
    this.#known = [
      ...administrator,
      ...principals.map((principal): Known => ({
        principal,
        token:
          principal.proof.kind === 'token' ? new TokenFile(principal.proof.file, warn) : undefined,
        subject: principal.proof.kind === 'mtls' ? principal.proof.subject : undefined,
      })),
    ]
    this.#isOpen = isSocket && this.#known.length === 0
    if (!isSocket && this.#known.length === 0)
      throw new Error('the control API on TCP needs `control.tokenFile` or `control.principals`')
    const digests = this.#known.flatMap(({ token }) => token?.digest()?.toString('hex') ?? [])
    if (new Set(digests).size !== digests.length)
      throw new Error('two principals of the control API have the same token')
  }

  /**
   * Recognises who sends a request; undefined where it proves nobody.
   * @param certificate the client's, where TLS verified it
   */
  recognize(
    request: IncomingMessage,
    certificate: X509Certificate | undefined,
  ): Principal | undefined {
    if (this.#isOpen) return ADMINISTRATOR
    const written = valuesOf(request, 'authorization')
    if (written.length > 0) return this.#byToken(written)
    return certificate && this.#byCertificate(certificate)
  }

  #byToken(written: readonly string[]): Principal | undefined {
    const token = /^Bearer +([\x21-\x7e]+)$/i.exec(written[0] ?? '')?.[1]
    if (token === undefined || written.length !== 1) return undefined
    const digest = digestOf(token)
    // All of them, also after a match: how long it takes says nothing.
    const matching = this.#known.filter(({ token: file }) => {
      const own = file?.digest()
      return own !== undefined && timingSafeEqual(own, digest)
    })
    return matching.length === 1 ? matching[0]?.principal : undefined
  }

  #byCertificate(certificate: X509Certificate): Principal | undefined {
    const subjects = subjectsOf(certificate)
    const matching = this.#known.filter(
      ({ subject }) => subject !== undefined && subjects.includes(subject),
    )
    return matching.length === 1 ? matching[0]?.principal : undefined
  }
}

/** A token that is read again when its file changes. */
class TokenFile {
  readonly #file: string
  readonly #warn: (message: string) => void
  #digest: Buffer | undefined
  #version = ''

  constructor(file: string, warn: (message: string) => void) {
    this.#file = file
    this.#warn = warn
    const fault = this.#read()
    if (fault !== undefined) throw new Error(fault)
  }

  /** The token's digest; undefined while the file cannot be used. */
  digest(): Buffer | undefined {
    const fault = this.#read()
    if (fault !== undefined) this.#warn(fault)
    return this.#digest
  }

  /** @returns what is newly wrong with the file */
  #read(): string | undefined {
    try {
      const { mtimeMs, size, ino, mode } = statSync(this.#file)
      const version = `${mtimeMs} ${size} ${ino}`
      if (version === this.#version) return undefined
      this.#version = version
      this.#digest = undefined
      if ((mode & READABLE_BY_OTHERS) !== 0) this.#warn(`${this.#file} can be read by others`)
      if (size > TOKEN_CHARACTERS_MAX) return `${this.#file} is too large for a token`
      const token = readFileSync(this.#file, 'utf8').trim()
      if (token.length < TOKEN_CHARACTERS_MIN || !/^[\x21-\x7e]+$/.test(token))
        return `${this.#file} holds no token of ${TOKEN_CHARACTERS_MIN} or more printable characters`
      this.#digest = digestOf(token)
      return undefined
    } catch {
      this.#digest = undefined
      if (this.#version === 'absent') return undefined
      this.#version = 'absent'
      return `${this.#file} cannot be read`
    }
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** The URIs and the common name of a certificate. */
function subjectsOf({ subjectAltName = '', subject }: X509Certificate): string[] {
  // A name that needs quotes could hold another one within them; nobody's names need them.
  const uris = subjectAltName.includes('"')
    ? []
    : subjectAltName
        .split(', ')
        .filter((name) => name.startsWith('URI:'))
        .map((name) => name.slice('URI:'.length))
  const commonNames = subject.split('\n').filter((line) => line.startsWith('CN='))
  const [commonName] = commonNames
  // Only the URI speaks where there is one: it is what a workload's CA vouches for.
  if (uris.length > 0) return uris
  return commonNames.length === 1 && commonName !== undefined && !commonName.includes('\\')
    ? [commonName.slice('CN='.length)]
    : []
}
