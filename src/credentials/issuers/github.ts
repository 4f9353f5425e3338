// Tokens of an installation of a GitHub App: for a task's repositories and no others, for the permissions that are written and
// no others, and seen not to work once they are taken back. Called by `leases.ts` through `Issuer`.
// @see https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app

import type { GithubSourceDefinition } from '../source-definition.ts'
import {
  ProviderError,
  type Issuer,
  type Minted,
  type MintRequest,
  type OpenProvider,
  type ReadLocal,
  type Revocation,
  type RevocationHandle,
} from '../issuer.ts'
import { scopeOf } from '../scope.ts'
import { GithubApi, type GithubAnswer } from './github-api.ts'
import { readGrant, type Grant } from './github-grant.ts'

/** What an issuer of such tokens needs. */
export interface GithubIssuerOptions {
  readonly source: GithubSourceDefinition
  readonly provider: OpenProvider
  /** The app's private key as it is now, PEM. */
  readonly key: ReadLocal
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Repositories of one owner; undefined where only names are known. */
interface Repositories {
  readonly owner: string | undefined
  readonly names: readonly string[]
}

const OWNER = /^[A-Za-z\d](?:[A-Za-z\d_-]{0,99})$/
const NAME = /^(?!\.{1,2}$)[\w.-]{1,100}$/

/** Mints them. */
export class GithubIssuer implements Issuer {
  readonly isStatic = false
  readonly #options: GithubIssuerOptions
  readonly #api: GithubApi

  constructor(options: GithubIssuerOptions) {
    this.#options = options
    this.#api = new GithubApi(options)
  }

  async mint(request: MintRequest): Promise<Minted> {
    const { permissions } = this.#options.source
    const { signal } = request
    const { owner, names } = this.#repositoriesOf(request)
    const installation = await this.#installationOf(owner, names, signal)
    if (signal.aborted) throw new ProviderError('the provider does not answer')
    // Whoever asks may leave; what comes after that is taken back.
    const unending = new AbortController().signal
    const answer = await this.#api.askAsApp(
      'POST',
      `/app/installations/${installation}/access_tokens`,
      unending,
      { repositories: names, permissions },
    )
    if (answer.status !== 201) throw refusalOf(answer)
    const grant = readGrant(answer.body)
    if (grant === undefined) throw new ProviderError('the provider gave no token')
    const { expiresAt } = grant
    if (expiresAt === undefined || !isWithin(grant, { owner, names }, permissions)) {
      await this.#giveBack(grant.token, unending)
      throw lasting('the provider gave more than was asked for')
    }
    return {
      material: { value: grant.token },
      // By the clock of this machine.
      expiresAt: expiresAt - this.#api.skewMs,
      handle: { token: grant.token },
      id: `installation ${installation}`,
    }
  }

  async revoke({ token }: RevocationHandle, signal: AbortSignal): Promise<Revocation> {
    if (typeof token !== 'string') throw new ProviderError('there is no token', { isLasting: true })
    const asked = await this.#api.askWith(token, 'DELETE', '/installation/token', signal)
    if (asked.status === 401) return 'confirmed'
    if (asked.status !== 204) throw refusalOf(asked)
    const used = await this.#api.askWith(
      token,
      'GET',
      '/installation/repositories?per_page=1',
      signal,
    )
    if (used.status === 401) return 'confirmed'
    if (used.status === 200) throw new ProviderError('the token works still')
    throw refusalOf(used)
  }

  #repositoriesOf(request: MintRequest): Repositories {
    const texts = [...new Set(scopeOf(this.#options.source.repositories, request))]
    const pairs = texts.map(splitRepository)
    const owners = new Set(pairs.flatMap(({ owner }) => owner?.toLowerCase() ?? []))
    const [first] = pairs
    if (first === undefined) throw lasting('there is no repository in its scope')
    if (owners.size > 1) throw lasting('its repositories have several owners')
    return {
      owner: pairs.find(({ owner }) => owner !== undefined)?.owner,
      names: [...new Set(pairs.map(({ name }) => name))],
    }
  }

  async #installationOf(
    owner: string | undefined,
    [name]: readonly string[],
    signal: AbortSignal,
  ): Promise<string> {
    const { installation } = this.#options.source
    if (installation !== undefined) return installation
    if (owner === undefined || name === undefined)
      throw lasting('without `installation` a repository is written with its owner')
    const path = `/repos/${owner}/${name}/installation`
    const answer = await this.#api.askAsApp('GET', path, signal)
    if (answer.status !== 200) throw refusalOf(answer)
    const { id } = answer.body
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 1)
      throw new ProviderError('the provider named no installation')
    return String(id)
  }

  // What cannot be taken back here is in no use: nobody has it.
  async #giveBack(token: string, signal: AbortSignal): Promise<void> {
    try {
      await this.revoke({ token }, signal)
    } catch (error) {
      if (!(error instanceof ProviderError)) throw error
    }
  }
}

function splitRepository(text: string): {
  readonly owner: string | undefined
  readonly name: string
} {
  const [first = '', second, ...others] = text.split('/')
  const owner = second === undefined ? undefined : first
  const name = second ?? first
  if (others.length > 0 || !NAME.test(name) || (owner !== undefined && !OWNER.test(owner)))
    throw lasting('a repository in its scope has no name that there can be')
  return { owner, name }
}

const LEVELS: readonly string[] = ['read', 'write', 'admin']

// Names are of either case. To read what everybody may know of a repository belongs to every permission.
function isWithin(
  { repositories, permissions }: Grant,
  { owner, names }: Repositories,
  asked: GithubSourceDefinition['permissions'],
): boolean {
  const lower = new Set(names.map((name) => name.toLowerCase()))
  const isAsked = ({ owner: its, name }: Grant['repositories'][number]): boolean =>
    lower.has(name.toLowerCase()) &&
    (owner === undefined || its.toLowerCase() === owner.toLowerCase())
  return (
    repositories.length > 0 &&
    repositories.every(isAsked) &&
    Object.entries(permissions).every(([name, level]) => {
      const most = Object.hasOwn(asked, name) ? asked[name] : undefined
      if (most === undefined) return name === 'metadata' && level === 'read'
      return LEVELS.includes(level) && LEVELS.indexOf(level) <= LEVELS.indexOf(most)
    })
  )
}

function refusalOf({ status, retryAfterMs }: GithubAnswer): ProviderError {
  if (retryAfterMs !== undefined)
    return new ProviderError('the provider limits how often it is asked', { retryAfterMs })
  switch (status) {
    case 401:
      return lasting('the provider does not take the key of the app')
    case 403:
      return lasting('the app, or its installation, may not do this')
    case 404:
      return lasting('there is no such installation of the app')
    case 422:
      return lasting('the installation has not all of these repositories and permissions')
    default:
      return new ProviderError(`the provider answered ${status}`)
  }
}

function lasting(message: string): ProviderError {
  return new ProviderError(message, { isLasting: true })
}
