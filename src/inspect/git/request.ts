// Recognises git's smart HTTP protocol from a request's head: which repository, which service, which step of it. What is not
// exactly as the protocol has it is no git to us, so no rule for git allows it: the dumb protocol, paths of two readings,
// other parameters. Deliberately reads no body. Pure; called where a call is understood.

import type { RawHeaders } from '../../wire/body.ts'
import { valuesOf } from '../../wire/headers.ts'

/** What of a request's head says whether it is git. */
export interface GitHead {
  readonly method: string
  /** As sent, without the query, latin1. */
  readonly path: string
  /** Without `?`; undefined where there is none. */
  readonly query: string | undefined
  readonly headers: RawHeaders
}

/** One request of git's smart protocol. */
export interface GitRequest {
  /** The path without its leading slash, what belongs to the protocol and one `.git`: `acme/widgets`. */
  readonly repo: string
  readonly service: 'upload-pack' | 'receive-pack'
  /** `advertise`: the list of references; `upload`: a fetch or a part of one; `push`: its body is commands and a pack. */
  readonly step: 'advertise' | 'upload' | 'push'
}

type Service = GitRequest['service']

// Of all that RFC 3986 lets stand in a segment, what every server takes for itself: no escape, no parameter, no separator.
const SEGMENT = /^[A-Za-z0-9_~@+=,.-]+$/
const SERVICES: readonly Service[] = ['upload-pack', 'receive-pack']
const PATH_LENGTH_MAX = 1024
// What git compresses a long list of commits with; a push it never compresses.
const UPLOAD_CODINGS: ReadonlySet<string> = new Set(['gzip', 'x-gzip'])
// What some server might take for a request of git's, its dumb protocol included, whatever the method.
const RESEMBLING =
  /\/info\/refs|\/git-(?:upload|receive)-pack|\/objects\/(?:info|pack|[0-9a-f]{2})\/|\.git\/head$/

/**
 * What a request asks of git, by its head alone; undefined where it is not exactly a request of the smart protocol.
 * @see gitprotocol-http(5)
 */
export function recogniseGit(head: GitHead): GitRequest | undefined {
  if (head.path.length > PATH_LENGTH_MAX) return undefined
  if (head.method === 'GET') return recogniseAdvertisement(head)
  if (head.method === 'POST') return recogniseService(head)
  return undefined
}

/**
 * Whether some server could take a request for one of git's, whatever is odd about it: where `recogniseGit` does not know it,
 * a rule that denies by what is asked of git cannot be held to it.
 */
export function resemblesGit({ path, query = '', headers }: GitHead): boolean {
  return (
    RESEMBLING.test(loosen(path)) ||
    loosen(query).includes('git-') ||
    valuesOf(headers, 'content-type').some((type) => type.toLowerCase().includes('x-git-'))
  )
}

// As the most lenient server would read it.
function loosen(text: string): string {
  return decode(decode(text))
    .toLowerCase()
    .replaceAll('\\', '/')
    .replaceAll(/;[^/]*/g, '')
    .replaceAll(/\/+/g, '/')
}

function decode(text: string): string {
  return text.replaceAll(/%([0-9a-f]{2})/gi, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  )
}

function recogniseAdvertisement({ path, query }: GitHead): GitRequest | undefined {
  const service = SERVICES.find((name) => query === `service=git-${name}`)
  const repo = readRepo(path, '/info/refs')
  if (service === undefined || repo === undefined) return undefined
  return { repo, service, step: 'advertise' }
}

function recogniseService({ path, query, headers }: GitHead): GitRequest | undefined {
  const service = SERVICES.find((name) => path.endsWith(`/git-${name}`))
  if (service === undefined || query !== undefined) return undefined
  const types = valuesOf(headers, 'content-type')
  if (types.length !== 1 || types[0] !== `application/x-git-${service}-request`) return undefined
  if (!isReadable(valuesOf(headers, 'content-encoding'), service)) return undefined
  const repo = readRepo(path, `/git-${service}`)
  if (repo === undefined) return undefined
  return { repo, service, step: service === 'receive-pack' ? 'push' : 'upload' }
}

// A compressed push would say to the server what nobody read here.
function isReadable(codings: readonly string[], service: Service): boolean {
  if (codings.length === 0) return true
  return service === 'upload-pack' && codings.length === 1 && UPLOAD_CODINGS.has(codings[0]!)
}

function readRepo(path: string, suffix: string): string | undefined {
  if (!path.startsWith('/') || !path.endsWith(suffix)) return undefined
  const segments = path.slice(1, Math.max(1, path.length - suffix.length)).split('/')
  const last = segments.length - 1
  segments[last] = segments[last]!.replace(/\.git$/, '')
  // What still ends so is a repository of that name to one server and another one to the next; so it is in capitals.
  if (/\.git$/i.test(segments[last])) return undefined
  return segments.every(isPlainSegment) ? segments.join('/') : undefined
}

function isPlainSegment(segment: string): boolean {
  return SEGMENT.test(segment) && segment !== '.' && segment !== '..'
}
