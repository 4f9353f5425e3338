// What GitHub answers who asks for a token of an installation, read without trust. Pure; called by `github.ts`.

/** A token, and what it is for. */
export interface Grant {
  readonly token: string
  /** Epoch milliseconds of the provider's clock; undefined where it says none. */
  readonly expiresAt: number | undefined
  /** None where it is for all that the installation has. */
  readonly repositories: readonly { readonly owner: string; readonly name: string }[]
  readonly permissions: Readonly<Record<string, string>>
}

// Printable ASCII, as it stands in a header.
const TOKEN = /^[\x21-\x7e]{8,1024}$/

/** Reads an answer; undefined where there is no token that could be used or taken back. */
export function readGrant(answer: Readonly<Record<string, unknown>>): Grant | undefined {
  const { token, expires_at: end, repositories, permissions } = answer
  if (typeof token !== 'string' || !TOKEN.test(token)) return undefined
  const expiresAt = typeof end === 'string' ? Date.parse(end) : Number.NaN
  const named = Array.isArray(repositories) ? repositories.map(readRepository) : []
  const granted = isObject(permissions) ? Object.entries(permissions) : []
  return {
    token,
    expiresAt: Number.isNaN(expiresAt) ? undefined : expiresAt,
    repositories: named,
    permissions: Object.fromEntries(granted.map(([name, level]) => [name, String(level)])),
  }
}

// What cannot be read is none that was asked for.
function readRepository(value: unknown): { readonly owner: string; readonly name: string } {
  const full = isObject(value) ? value['full_name'] : undefined
  const [owner = '', name = ''] = typeof full === 'string' ? full.split('/') : []
  return { owner, name }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
