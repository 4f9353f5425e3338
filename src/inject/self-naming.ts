// Fields by which a client names itself, or somebody it says it speaks for: none of them decides anything here, and none goes
// on, so that no upstream takes a sandbox's word for who is calling. The list is in docs/identity.md, and a test holds the
// two together. Called by `prepare.ts`. @see RFC 7239, RFC 9440

/** Names of header fields, lower case. */
export const SELF_NAMING_HEADERS: readonly string[] = [
  'forwarded',
  'x-real-ip',
  'true-client-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'client-cert',
  'client-cert-chain',
  'workload-identity-token',
  'workload-proof-token',
  'x-spiffe-id',
  'x-arr-clientcert',
]

/** Beginnings of names, lower case. */
export const SELF_NAMING_PREFIXES: readonly string[] = [
  'x-forwarded-',
  'x-sallyport-',
  'x-ssl-',
  'ssl-client-',
  'x-client-cert',
  'x-amzn-mtls-',
]

const names: ReadonlySet<string> = new Set(SELF_NAMING_HEADERS)
// A name that can be one of them begins with one of these.
const FIRST_LETTERS: ReadonlySet<string> = new Set(
  [...SELF_NAMING_HEADERS, ...SELF_NAMING_PREFIXES].map((name) => name[0]!),
)

/** Whether a client names itself by a field. @param name lower case */
export function isSelfNaming(name: string): boolean {
  if (!FIRST_LETTERS.has(name[0] ?? '')) return false
  return names.has(name) || SELF_NAMING_PREFIXES.some((prefix) => name.startsWith(prefix))
}
