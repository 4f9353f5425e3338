// What a recorded call or message wanted that no rule allowed, as the smallest thing that a rule could allow; or why no rule is to
// be suggested for it. Whatever a record says of hosts, paths and names are bytes of the sandbox: what a rule cannot say exactly
// is left out. Pure. Called by `collect.ts`.

import { EgressError, REASONS } from '../../errors.ts'
import { parseDestination } from '../../policy/destination.ts'
import { matchPath, parsePathPattern, bindPath } from '../../policy/path-pattern.ts'
import type { McpList } from '../../policy/subject.ts'
import { askAbout } from '../../policy/written-call.ts'
import { insideMessage } from '../again/inputs.ts'
import { gitSubject, graphqlSubject, modelSubject } from '../again/subjects.ts'
import type { FoundCall } from '../again/find.ts'
import type { RecordBody } from '../body.ts'

/** What is inside a call, as rules name it. */
export type WantedInside =
  | { readonly kind: 'mcp'; readonly list: McpList; readonly name: string }
  | {
      readonly kind: 'model'
      readonly model: string
      /** Undefined: the request does not limit its output. */
      readonly maxTokens: number | undefined
      readonly hasOutput: boolean
      readonly serverTools: readonly string[]
    }
  | {
      readonly kind: 'graphql'
      readonly operation: string
      readonly fields: readonly string[]
      readonly introspection: boolean
    }
  | {
      readonly kind: 'git'
      readonly repo: string
      readonly refs: readonly string[]
      readonly force: boolean
    }

/** Something that a rule could allow. */
export interface Wanted {
  /** It passed and is on record as what would be denied; else it was denied. */
  readonly isObserved: boolean
  /** `scheme://host[:port]`. */
  readonly origin: string
  /** `HOST:PORT`. */
  readonly place: string
  /** Undefined: of the tunnel to the origin nothing was seen. */
  readonly call:
    | {
        readonly method: string
        /** As it was sent, without its query. */
        readonly path: string
        /** Patterns that its readings match, each of which a rule needs. */
        readonly patterns: readonly string[]
        readonly inside: WantedInside | undefined
      }
    | undefined
  readonly credential: string | undefined
}

/** Reasons that say no more than that no rule allows the call. */
const FOR_WANT_OF_A_RULE: ReadonlySet<string> = new Set([
  'not-on-allowlist',
  'port-not-allowed',
  'protocol-not-allowed',
  'method-not-allowed',
  'path-not-allowed',
  'tool-not-allowed',
  'source-not-allowed',
  'operation-not-allowed',
  'ref-not-allowed',
])
const OF_INSIDE: ReadonlySet<string> = new Set([
  'tool-not-allowed',
  'source-not-allowed',
  'operation-not-allowed',
  'ref-not-allowed',
])
const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  https: 443,
  wss: 443,
  tls: 443,
  http: 80,
  ws: 80,
}
const MASK = '[secret:'
/** Of a GraphQL field from the root on. */
const FIELD = /^[_A-Za-z]\w*(?:\.[_A-Za-z]\w*)*$/
const NAME_CHARACTERS_MAX = 512

/** What a record wanted; `why` where no rule is suggested; undefined where it was not refused. */
export function readWanted(found: FoundCall): Wanted | { readonly why: string } | undefined {
  const { record, messages } = found
  const { event, sallyport, url } = record
  const { decision, message } = sallyport
  const isDenied = event.action === 'call-denied' || event.action === 'message-denied'
  if (decision === undefined) return isDenied ? refusedBy(event.reason) : undefined
  const isObserved = decision.verdict === 'allow' && decision.would_deny !== undefined
  if (decision.verdict === 'allow' && isDenied) return refusedBy(event.reason)
  // One that a person let pass was not refused.
  if (decision.verdict === 'hold') return isDenied ? { why: 'held for a person' } : undefined
  if (!isObserved && decision.verdict === 'allow') return undefined
  const reason = isObserved ? (decision.would_deny ?? '') : decision.reason
  // What was said in it stands for it.
  if (message === undefined && messages.length > 0 && OF_INSIDE.has(reason)) return undefined
  if (!FOR_WANT_OF_A_RULE.has(reason)) return refusedBy(reason)
  if (url === undefined) return { why: 'its target is not on record' }
  if (sallyport.detail?.['override'] !== undefined)
    return { why: 'asks for another method by a header' }
  return wantedOf(found, url, reason, isObserved)
}

function refusedBy(reason = ''): { readonly why: string } {
  const rows: Readonly<Record<string, { readonly title: string }>> = REASONS
  return { why: `${reason}: ${rows[reason]?.title ?? 'refused'}` }
}

function wantedOf(
  found: FoundCall,
  url: NonNullable<RecordBody['url']>,
  reason: string,
  isObserved: boolean,
): Wanted | { readonly why: string } {
  const { record, around } = found
  const { scheme, domain, port } = url
  if (url.full.includes(MASK) && `${domain}${url.path ?? ''}`.includes(MASK))
    return { why: 'a secret is masked in its path' }
  const isTunnel = record.sallyport.call?.kind === 'tunnel' && record.http === undefined
  const isUnseen = isTunnel && record.sallyport.inspection !== 'none'
  const written = isUnseen ? 'https' : scheme
  const origin = `${written}://${domain}${DEFAULT_PORTS[written] === port ? '' : `:${String(port)}`}`
  const destination = parseDestination(origin, 'allow')
  if ('fault' in destination) return { why: 'its host cannot be written in a rule' }
  if (destination.host.kind !== 'exact' || destination.host.isAddress)
    return { why: 'an address instead of a name: addresses are for people to allow' }
  const name = record.sallyport.credential?.name
  const base = {
    isObserved,
    origin,
    place: `${domain}:${String(port)}`,
    credential: name !== undefined && record.rule !== undefined ? name : undefined,
  }
  if (isTunnel) return { ...base, call: undefined }
  const method = (record.http ?? around?.http)?.request.method
  if (method === undefined) return { why: 'its method is not on record' }
  const path = url.path ?? '/'
  const patterns = patternsOf(`${written}://${domain}:${String(port)}${path}`)
  if (patterns === undefined)
    return {
      why: 'a path that servers read in several ways, or that has `*`, `{`, `}` or `%` in it',
    }
  const inside = insideOf(found, reason)
  if (inside !== undefined && 'why' in inside) return inside
  if (inside === undefined && reason === 'protocol-not-allowed' && written === 'https')
    return { why: 'what is inside is of another kind than the rules look for' }
  return { ...base, call: { method, path, patterns, inside } }
}

/** Patterns that match every reading of a path and no more; undefined where there are none. */
function patternsOf(url: string): string[] | undefined {
  try {
    const asked = askAbout('GET', url, [])
    if ('connect' in asked) return undefined
    const { readings } = asked.path
    const patterns = new Set(readings.map((reading) => `/${reading.join('/')}`))
    const bound = [...patterns].map((text) => {
      if (/[*{}]/.test(text)) return undefined
      const pattern = parsePathPattern(text)
      return 'fault' in pattern ? undefined : bindPath(pattern, {})
    })
    const isExact = readings.every((reading) =>
      bound.some((each) => each !== undefined && matchPath(each, reading)),
    )
    return isExact && !bound.includes(undefined) ? [...patterns] : undefined
  } catch (error) {
    if (error instanceof EgressError) return undefined
    throw error
  }
}

function insideOf(
  found: FoundCall,
  reason: string,
): WantedInside | { readonly why: string } | undefined {
  const { record } = found
  const { content, message } = record.sallyport
  if (message !== undefined) return mcpOf(record)
  if (content?.git !== undefined) return gitOf(content.git)
  if (content?.graphql !== undefined) return graphqlOf(content.graphql)
  const model = modelSubject(record)
  if (model !== undefined) {
    if (model.model === undefined) return { why: 'a question to a model that it does not name' }
    if (![model.model, ...model.serverTools].every(isExactName))
      return { why: 'the name of a model or tool that a rule cannot say exactly' }
    const { maxTokens, hasOutput, serverTools } = model
    return { kind: 'model', model: model.model, maxTokens, hasOutput, serverTools }
  }
  // A condition that comes to false is refused with it too, also where nobody looked inside.
  if (reason === 'operation-not-allowed')
    return { why: 'a condition was false, or what is inside it is not on record' }
  return OF_INSIDE.has(reason) ? { why: 'what is inside it is not on record' } : undefined
}

function mcpOf(record: RecordBody): WantedInside | { readonly why: string } {
  const [content] = insideMessage(record).contents
  const mcp = content?.mcp
  if (mcp?.kind !== 'item' || mcp.list === undefined || mcp.name === undefined)
    return { why: 'an MCP message that no rule can name' }
  return isExactName(mcp.name)
    ? { kind: 'mcp', list: mcp.list, name: mcp.name }
    : { why: 'the name of a tool, resource or prompt that a rule cannot say exactly' }
}

function graphqlOf(
  recorded: Parameters<typeof graphqlSubject>[0],
): WantedInside | { readonly why: string } {
  const subject = graphqlSubject(recorded)
  const [operation] = subject === 'mixed' ? [] : subject.operations
  if (operation === undefined) return { why: 'a GraphQL request that its record has a part of' }
  const paths = operation.fields.map((field) => field.join('.'))
  if (!paths.every((field) => FIELD.test(field)))
    return { why: 'a GraphQL request that its record has a part of' }
  // A field is allowed with what is below it, and on the way there.
  const fields = paths.filter((field) => !paths.some((other) => other.startsWith(`${field}.`)))
  return {
    kind: 'graphql',
    operation: operation.type,
    fields: fields.filter((field) => !/^__(?:schema|type)(?:\.|$)/.test(field)),
    introspection: operation.introspection,
  }
}

function gitOf(
  recorded: Parameters<typeof gitSubject>[0],
): WantedInside | { readonly why: string } {
  const read = gitSubject(recorded)
  if (read === 'cut' || read.git === undefined)
    return { why: 'a push that its record has a part of' }
  const { repo, service, commands } = read.git
  if (service === 'receive-pack' && commands.length === 0)
    return { why: 'a push whose references are not on record' }
  const refs = commands.map(({ ref }) => ref)
  if (![repo, ...refs].every(isExactName))
    return { why: 'the name of a repository or reference that a rule cannot say exactly' }
  const force = commands.some(
    ({ change, update }) =>
      change === 'delete' || (change === 'update' && update !== 'fast-forward'),
  )
  return { kind: 'git', repo, refs, force }
}

// In a pattern `*` and braces mean something else.
function isExactName(name: string): boolean {
  return (
    name !== '' &&
    name.length < NAME_CHARACTERS_MAX &&
    !/[*{}\p{Cc}]/u.test(name) &&
    !name.includes(MASK) &&
    !name.includes('…')
  )
}
