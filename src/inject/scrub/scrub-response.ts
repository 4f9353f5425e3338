// A response without the values of its task's credentials. Text has asterisks in their place; other content is cut at the first.
// What is compressed is decoded for it. Called by `brokering/response.ts`.

import type { UpstreamResponse } from '../../call-parts.ts'
import { EgressError } from '../../errors.ts'
import { NO_BODY, type RawHeaders } from '../../wire/body.ts'
import { contentKind, type ContentKind } from './content.ts'
import { checkBody, decodeBody, type DecodingBounds } from './decoded-body.ts'
import { codingsOf } from './decoder.ts'
import { scrubTexts } from './head.ts'
import type { Watch } from './watch.ts'
import { WatchedBody } from './watched-body.ts'

/** How one response is looked through. */
export interface ScrubOptions extends DecodingBounds {
  /** Whether its request carried a credential: then nothing that cannot be read passes. */
  readonly isInjected: boolean
}

// What is said of the bytes as they came, and is not true of them decoded.
const OF_CODED: ReadonlySet<string> = new Set([
  'content-encoding',
  'content-md5',
  'content-digest',
  'digest',
  'repr-digest',
  'accept-ranges',
  'x-goog-hash',
])
const CHECKSUM_OF_AWS = 'x-amz-checksum-'
const PARTIAL = 206

/**
 * The response as it goes on.
 * @throws response-malformed where its body cannot be read and has to be; credential-echoed where it begins with a value
 */
export function scrubResponse(
  response: UpstreamResponse,
  watch: Watch,
  options: ScrubOptions,
): UpstreamResponse | Promise<UpstreamResponse> {
  const { body } = response
  const scrubbed = scrubHead(response, watch)
  if (body === NO_BODY) return scrubbed
  // HTTP/2 may send trailers behind it.
  if (body.length === 0) return { ...scrubbed, body: new WatchedBody(body, watch, 'text') }
  const codings = codingsOf(response.headers)
  const kind = contentKind(response.headers)
  if (codings?.length === 0) return begin(scrubbed, new WatchedBody(body, watch, kind), kind)
  // A part of what was compressed begins nowhere.
  const isReadable = codings !== undefined && response.status !== PARTIAL
  if (!options.isInjected) {
    const checked = isReadable ? checkBody(body, codings, options, watch) : body
    return begin(scrubbed, new WatchedBody(checked, watch, 'other'), 'other')
  }
  if (!isReadable) {
    const cause = new EgressError('response-malformed', { part: 'content-encoding' })
    body.abort(cause)
    throw cause
  }
  const decoded = decodeBody(body, codings, options)
  return begin(
    { ...scrubbed, headers: decodedHead(scrubbed.headers), length: undefined },
    new WatchedBody(decoded, watch, kind),
    kind,
  )
}

function scrubHead(response: UpstreamResponse, watch: Watch): UpstreamResponse {
  const texts = [response.statusText, ...response.headers]
  const scrubbed = scrubTexts(texts, watch, 'header')
  if (scrubbed === texts) return response
  const [statusText = '', ...headers] = scrubbed
  return { ...response, statusText, headers }
}

function begin(
  response: Omit<UpstreamResponse, 'body'>,
  body: WatchedBody,
  kind: ContentKind,
): UpstreamResponse | Promise<UpstreamResponse> {
  const begun = { ...response, body }
  if (kind === 'text') return begun
  // A head whose body is to be cut at once is not sent. Only what is sure to come is waited for: a client may have to speak first.
  return body.length === undefined ? peek(begun, body) : waitAndPeek(begun, body)
}

function peek(response: UpstreamResponse, body: WatchedBody): UpstreamResponse {
  const chunk = body.read()
  if (chunk) body.unread(chunk)
  return response
}

async function waitAndPeek(
  response: UpstreamResponse,
  body: WatchedBody,
): Promise<UpstreamResponse> {
  let chunk = body.read()
  while (chunk === undefined) {
    await body.wait()
    chunk = body.read()
  }
  if (chunk) body.unread(chunk)
  return response
}

function decodedHead(headers: RawHeaders): RawHeaders {
  const kept: string[] = []
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!
    const value = headers[at + 1]!
    const lower = name.toLowerCase()
    if (OF_CODED.has(lower) || lower.startsWith(CHECKSUM_OF_AWS)) continue
    // The same content, not the same bytes (RFC 9110 section 8.8.1).
    kept.push(name, lower === 'etag' && !value.startsWith('W/') ? `W/${value}` : value)
  }
  return kept
}
