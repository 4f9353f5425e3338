// Every way in which another reader may differ from ours, and why that does no harm. A difference that no row explains is a
// defect, of ours until the contrary is shown. Not a test itself; used by `run.ts`; told to readers in `docs/framing.md`.

import { METHODS } from 'node:http'

import { parseAuthority } from '../../src/wire/authority.ts'
import { valuesOf } from '../../src/wire/headers.ts'
import { parseRequestTarget } from '../../src/wire/target.ts'
import type { Difference } from './compare.ts'
import type { Message } from './own-reader.ts'

/** One kind of difference. */
export interface Explanation {
  readonly name: string
  /** Why nobody can be led astray by it. */
  readonly why: string
  /** Whether it also holds of messages as they are passed on. */
  readonly isPassedOn?: true
  readonly explains: (difference: Difference) => boolean
}

const LISTED: ReadonlySet<string> = new Set(METHODS)
const refuses = ({ kind, oracle }: Difference, name: Difference['oracle']): boolean =>
  kind === 'refused' && oracle === name
const isRequest = ({ method }: Difference): boolean => method === undefined
const targetOf = ({ message }: Difference): string => message.start[1]!
const has = (message: Message | undefined, name: string, value: RegExp): boolean =>
  message !== undefined && valuesOf(message.headers, name).some((one) => value.test(one))

function isTargetRefused({ start: [method, target] }: Message): boolean {
  try {
    if (method === 'CONNECT') parseAuthority(target!)
    else parseRequestTarget(target!)
    return false
  } catch {
    return true
  }
}

/** All of them. */
export const EXPLANATIONS: readonly Explanation[] = [
  {
    name: 'llhttp: a method that is not on its list',
    isPassedOn: true,
    why: 'It reads nothing of such a request. Ours takes any token in upper case, and the rules judge it.',
    explains: (difference) =>
      refuses(difference, 'llhttp') &&
      isRequest(difference) &&
      // PRI is half the preface of HTTP/2 to it.
      ['HPE_INVALID_METHOD', 'HPE_INVALID_VERSION'].includes(difference.words) &&
      !LISTED.has(difference.message.start[0]!),
  },
  {
    name: 'llhttp: a target that ours refuses one step later',
    why: 'It reads nothing of such a request. Ours knows where it ends, and `target.ts` refuses it.',
    explains: (difference) =>
      refuses(difference, 'llhttp') &&
      isRequest(difference) &&
      difference.words === 'HPE_INVALID_URL' &&
      isTargetRefused(difference.message),
  },
  {
    name: 'llhttp: a target with bytes above ASCII',
    why: 'It reads nothing of such a request. Ours judges the bytes, refuses a path that is not UTF-8, and passes on what it judged.',
    isPassedOn: true,
    explains: (difference) =>
      refuses(difference, 'llhttp') &&
      isRequest(difference) &&
      difference.words === 'HPE_INVALID_URL' &&
      /[\x80-\xff]/.test(targetOf(difference)),
  },
  {
    name: 'llhttp: nothing is read behind an Upgrade',
    why: 'It waits for another protocol that nobody answers with. Upgrade goes no further, so upstreams are never asked.',
    explains: ({ oracle, before }) =>
      oracle === 'llhttp' &&
      has(before, 'upgrade', /^/) &&
      (has(before, 'connection', /upgrade/i) || has(before, 'proxy-connection', /upgrade/i)),
  },
  {
    name: 'llhttp: Proxy-Connection ends the connection',
    why: 'It is no field of HTTP. Ours goes by Connection alone, and hands Proxy-Connection to nobody.',
    explains: (difference) =>
      refuses(difference, 'llhttp') &&
      difference.words === 'HPE_CLOSED_CONNECTION' &&
      has(difference.before, 'proxy-connection', /close/i),
  },
  {
    name: 'llhttp: a 1xx that says close, or of HTTP/1.0, ends the connection',
    why: 'It reads no response behind it. Ours waits for the one that answers the request, and passes no Connection on.',
    explains: (difference) =>
      refuses(difference, 'llhttp') &&
      difference.words === 'HPE_CLOSED_CONNECTION' &&
      difference.before?.start[1]?.startsWith('1') === true &&
      (difference.before.start[0] === '1.0' || has(difference.before, 'connection', /close/i)),
  },
  {
    name: 'llhttp: close in the trailers ends the connection',
    why: 'RFC 9110 section 6.5.1 forbids it there. Ours goes by the head, and the trailers of a request end at the door.',
    explains: (difference) =>
      refuses(difference, 'llhttp') &&
      difference.words === 'HPE_CLOSED_CONNECTION' &&
      difference.before !== undefined &&
      /connection/i.test(difference.before.trailers.join(' ')),
  },
  {
    name: 'h11: the coding is told in lower case',
    why: 'The same coding: codings are compared whatever their case.',
    explains: ({ oracle, kind, message, heard }) =>
      oracle === 'h11' &&
      kind === 'headers' &&
      message.headers.every(
        (text, at) =>
          text === heard?.headers[at] ||
          (message.headers[at - 1]?.toLowerCase() === 'transfer-encoding' &&
            text.toLowerCase() === heard?.headers[at]),
      ),
  },
  {
    name: 'h11: HTTP/1.0 has no kept connections',
    why: 'It closes where ours, as every client asks that sends keep-alive, reads on.',
    explains: ({ oracle, kind, before }) =>
      oracle === 'h11' && kind === 'late' && before?.start[2] === '1.0',
  },
  {
    name: 'h11: CONNECT may have a body',
    why: 'RFC 9110 section 9.3.6 gives it none: what follows belongs to the tunnel, and is judged there as if it had come alone.',
    explains: ({ oracle, message, heard }) =>
      oracle === 'h11' && message.start[0] === 'CONNECT' && heard?.start[0] === 'CONNECT',
  },
  {
    name: 'h11: Host is missing or there are two',
    why: 'Ours refuses it too, one step later (`checkHost`), and it is clear where it ends.',
    explains: (difference) =>
      refuses(difference, 'h11') &&
      isRequest(difference) &&
      /Host: header/.test(difference.words) &&
      valuesOf(difference.message.headers, 'host').length !== 1,
  },
  {
    name: 'h11: a target with bytes above ASCII',
    isPassedOn: true,
    why: 'It reads nothing of such a request. Ours judges the bytes, refuses a path that is not UTF-8, and passes on what it judged.',
    explains: (difference) =>
      refuses(difference, 'h11') &&
      isRequest(difference) &&
      /[\x80-\xff]/.test(targetOf(difference)) &&
      difference.words.startsWith('illegal request line'),
  },
]
