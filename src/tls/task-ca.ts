// The interception CA of one task, so that what one sandbox trusts opens nothing else: its own key, no host but the task's
// where those are finite, for no longer than the task. Two certificates of one key: an anchor signed by itself, which the
// sandbox is given because many clients take no intermediate for one, and an intermediate signed by the installation's CA,
// sent in handshakes for who trusts that. Key and certificates in one file of `state/`, the anchor in `certs/tasks/`.
// Made by `sidecar.ts`.

import assert from 'node:assert'
import { createPrivateKey, generateKeyPairSync, X509Certificate, type KeyObject } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'

import type { Endpoint } from '../wire/authority.ts'
import { describeCa, ORGANISATION, type Ca } from './ca.ts'
import { encodeName, makeCertificate } from './certificate.ts'
import { besideOf, publicFilesIn, readSecret, writePublicFiles, writeWhole } from './files.ts'
import { keyIdOf, publicKeyOf, readExtension } from './issuer.ts'
import { encodeNameConstraints } from './name-constraints.ts'

/** The CA of one task: its certificate is the anchor. */
export interface TaskAuthority extends Ca {
  /** The intermediate, to be sent behind a leaf; empty where its constraints are too long for a handshake. */
  readonly chainPem: string
  /** Where its public files are, and nothing else: what the task's sandbox is given. */
  readonly directory: string
}

/** What the authorities of tasks need. */
export interface TaskAuthoritiesOptions {
  /** Asked whenever a CA is made, so that a renewed one signs from then on. */
  readonly installation: () => Ca
  /** Holds one directory a task. */
  readonly publicDir: string
  /** Never mounted. */
  readonly keyDir: string
  readonly now: () => number
  /** Told in one sentence what was found damaged; the CA is then made anew. */
  readonly onProblem?: (problem: string) => void
}

interface Wanted {
  readonly nameConstraints: Buffer | undefined
  /** Epoch milliseconds, whole seconds. */
  readonly notAfter: number
}

const BACKDATE_MS = 3_600_000
// Calls of a task that has just ended are still told so inside TLS.
const GRACE_MS = 300_000
// Clients refuse a chain of more than 64 KiB or so, and every handshake carries it.
const CONSTRAINTS_BYTES_MAX = 16 * 1024
const TASK_ID = /^t_[0-9a-z]{26}$/
const KEY_SUFFIX = '.pem'
const NAME_CONSTRAINTS = Buffer.of(0x55, 0x1d, 0x1e)
const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g

/** The CAs of the tasks of one sidecar. */
export class TaskAuthorities {
  readonly #options: TaskAuthoritiesOptions
  readonly #authorities = new Map<string, TaskAuthority>()
  /** Ended tasks whose public files are there still, and until when. */
  readonly #leftovers = new Map<string, number>()

  constructor(options: TaskAuthoritiesOptions) {
    this.#options = options
  }

  /**
   * Makes the CA of a task, or makes it anew with the same key where its hosts or its end have changed, and sees to its
   * public files. Costs no signature where nothing has changed.
   * @param hosts all that the task's leaves may name; undefined where that is not finite
   * @param trustsPublicRoots whether the bundle also holds the public roots: needed where some destination is not intercepted
   */
  issue(
    task: { readonly id: string; readonly expiresAt: number },
    hosts: readonly Pick<Endpoint, 'host' | 'kind'>[] | undefined,
    trustsPublicRoots: boolean,
  ): TaskAuthority {
    const installation = this.#options.installation()
    const end = Math.min(task.expiresAt + GRACE_MS, installation.notAfter)
    const wanted: Wanted = {
      nameConstraints: hosts && encodeNameConstraints(hosts),
      notAfter: Math.floor(end / 1000) * 1000,
    }
    const kept = this.of(task.id)
    this.#leftovers.delete(task.id)
    const authority =
      kept && isAsWanted(kept, wanted, installation)
        ? kept
        : this.#make(task.id, kept?.key ?? makeKey(), wanted, installation)
    writePublicFiles(authority.directory, authority.certPem, trustsPublicRoots)
    return authority
  }

  /** The CA of a task, read back from the disk after a restart; undefined where there is none. Writes nothing. */
  of(taskId: string): TaskAuthority | undefined {
    const known = this.#authorities.get(taskId)
    if (known) return known
    const file = this.#keyFile(taskId)
    try {
      const content = readSecret(file)
      if (content === undefined) return undefined
      const authority = this.#describe(taskId, content.toString('latin1'))
      this.#authorities.set(taskId, authority)
      return authority
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.#options.onProblem?.(
        `the CA of the task ${taskId} in ${file} cannot be used (${why}): what its sandbox trusts must be made anew`,
      )
      return undefined
    }
  }

  /** Whether a task's key is on the disk, good or damaged: it is from the task's making to its end. */
  has(taskId: string): boolean {
    return existsSync(this.#keyFile(taskId))
  }

  /**
   * Forgets the key at once; tells whether there was one. The public files, worth nothing without it, stay a little: clients
   * that cannot read them any more say so, and not that their task has ended.
   */
  drop(taskId: string): boolean {
    const keyFile = this.#keyFile(taskId)
    const places = [keyFile, besideOf(keyFile)]
    const wasKnown = this.#authorities.delete(taskId)
    const wasThere = places.some((place) => existsSync(place))
    for (const place of places) rmSync(place, { force: true })
    const now = this.#options.now()
    this.#leftovers.set(taskId, now + GRACE_MS)
    for (const [id, dueAt] of this.#leftovers) {
      // In the order in which they were dropped.
      if (dueAt > now) break
      this.#removePublic(id)
    }
    return wasKnown || wasThere
  }

  /** Drops every CA whose task is not among the given, as after a crash; tells how many. */
  dropOthers(taskIds: ReadonlySet<string>): number {
    const { keyDir, publicDir } = this.#options
    const found = [...namesIn(keyDir), ...namesIn(publicDir)].map((name) => name.split('.')[0]!)
    const others = [...new Set([...found, ...this.#authorities.keys()])]
    // What is named otherwise is not ours.
    const dropped = others.filter((id) => TASK_ID.test(id) && !taskIds.has(id))
    for (const id of dropped) {
      this.drop(id)
      this.#removePublic(id)
    }
    return dropped.length
  }

  #removePublic(taskId: string): void {
    this.#leftovers.delete(taskId)
    rmSync(this.#directory(taskId), { recursive: true, force: true })
  }

  #make(taskId: string, key: KeyObject, wanted: Wanted, installation: Ca): TaskAuthority {
    const publicKey = publicKeyOf(key)
    const subject = nameOf(taskId)
    const fields = {
      subject,
      publicKey,
      notBefore: this.#options.now() - BACKDATE_MS,
      notAfter: wanted.notAfter,
      ca: true,
      ...(wanted.nameConstraints && { nameConstraints: wanted.nameConstraints }),
    }
    const { name: issuer, keyId: issuerKeyId } = installation
    const own = { issuer: subject, issuerKeyId: keyIdOf(publicKey) }
    const content = [
      key.export({ type: 'pkcs8', format: 'pem' }),
      makeCertificate({ ...fields, ...own }, key),
      makeCertificate({ ...fields, issuer, issuerKeyId }, installation.key),
    ].join('')
    mkdirSync(this.#options.keyDir, { recursive: true, mode: 0o700 })
    // A file that a crash of the machine tore is told from a whole one and made anew: the task needs the disk for its end
    // (`tasks/state-log.ts`), not for what its sandbox can fetch again.
    writeWhole(this.#keyFile(taskId), content, { mode: 0o600, isSynced: false })
    const authority = this.#describe(taskId, content)
    this.#authorities.set(taskId, authority)
    return authority
  }

  #describe(taskId: string, content: string): TaskAuthority {
    const key = createPrivateKey(content)
    const [certPem, chainPem] = content.match(CERTIFICATE_BLOCK) ?? []
    if (certPem === undefined || chainPem === undefined) throw new Error('it is torn')
    for (const pem of [certPem, chainPem])
      if (!new X509Certificate(pem).checkPrivateKey(key)) throw new Error('it is not of one key')
    const directory = this.#directory(taskId)
    const ca = describeCa(certPem, key, publicFilesIn(directory))
    if (!ca.name.equals(nameOf(taskId))) throw new Error('it is of another task')
    const constraints = readExtension(new X509Certificate(certPem), NAME_CONSTRAINTS)
    const isLong = constraints !== undefined && constraints.length > CONSTRAINTS_BYTES_MAX
    return { ...ca, chainPem: isLong ? '' : chainPem, directory }
  }

  #keyFile(taskId: string): string {
    return path.join(this.#options.keyDir, `${checked(taskId)}${KEY_SUFFIX}`)
  }

  #directory(taskId: string): string {
    return path.join(this.#options.publicDir, checked(taskId))
  }
}

// An id becomes a path: none that could lead elsewhere.
function checked(taskId: string): string {
  assert(TASK_ID.test(taskId), 'a task id is t_ and 26 characters')
  return taskId
}

function isAsWanted(kept: TaskAuthority, wanted: Wanted, installation: Ca): boolean {
  const constraints = readExtension(new X509Certificate(kept.certPem), NAME_CONSTRAINTS)
  const isSameHosts =
    constraints === undefined
      ? wanted.nameConstraints === undefined
      : wanted.nameConstraints?.equals(constraints) === true
  if (!isSameHosts || kept.notAfter !== wanted.notAfter) return false
  return (
    kept.chainPem === '' || new X509Certificate(kept.chainPem).verify(publicKeyOf(installation.key))
  )
}

function makeKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
}

function nameOf(taskId: string): Buffer {
  return encodeName([
    { oid: '2.5.4.10', text: ORGANISATION },
    { oid: '2.5.4.3', text: `Sallyport task CA ${taskId}` },
  ])
}

function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : []
}
