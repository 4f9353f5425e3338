// Sockets of the probes: one knock at an address, bounded in time and bytes, whose outcome is a value. A slow or dead peer
// costs its time-out and nothing else. Deliberately no judgement of what the outcome means. Called by the probes beside.

import dgram from 'node:dgram'
import net, { type Socket } from 'node:net'
import tls from 'node:tls'

import { systemErrorCode } from '../../record/system-error.ts'

/** Where a connection goes: an address, or the path of a unix socket (with a leading NUL: an abstract one). */
export type Place =
  | {
      readonly host: string
      readonly port: number
      /** Speak TLS to it first, trusting these certificates alone. */
      readonly roots?: readonly string[]
    }
  | { readonly path: string }

/** What came of a knock. */
export type Knock =
  /** The kernel, or whoever it was, said no. */
  | { readonly kind: 'failed'; readonly code: string }
  /** Nothing came back in time. */
  | { readonly kind: 'dropped' }
  /** Somebody accepted; these bytes came. */
  | { readonly kind: 'accepted'; readonly bytes: Buffer }

/** How long is waited, in milliseconds. */
export interface Patience {
  readonly connectMs: number
  readonly answerMs: number
}

/** What the probes wait for a peer: a filter that drops costs the first, one that accepts and is silent both. */
const PATIENCE: Patience = { connectMs: 1500, answerMs: 1500 }

// Any port would do: nothing is sent.
const DISCARD_PORT = 9
const ANSWER_BYTES_MAX = 64 * 1024
const RESEND_MS = 500

/**
 * Connects, says something, and listens until the peer ends, enough has come, or the time is over.
 * @param isEnough whether the bytes so far are all that is wanted
 */
export function knock(
  place: Place,
  say: string | Uint8Array = '',
  isEnough: (bytes: Buffer) => boolean = () => false,
  { connectMs, answerMs }: Patience = PATIENCE,
): Promise<Knock> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    let isAccepted = false
    let socket: Socket
    try {
      socket = connectTo(place)
    } catch (error) {
      // Such as a path that is too long for any socket.
      return resolve({ kind: 'failed', code: codeOf(error) })
    }
    const finish = (result: Knock): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    let timer = setTimeout(() => finish({ kind: 'dropped' }), connectMs)
    const onEnd = (): void => finish({ kind: 'accepted', bytes })
    socket.on('error', (error) => {
      if (isAccepted) onEnd()
      else finish({ kind: 'failed', code: codeOf(error) })
    })
    socket.once('roots' in place ? 'secureConnect' : 'connect', () => {
      isAccepted = true
      clearTimeout(timer)
      timer = setTimeout(onEnd, answerMs)
      if (say.length > 0) socket.write(say)
    })
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.length > ANSWER_BYTES_MAX || isEnough(bytes)) onEnd()
    })
    socket.on('end', onEnd)
    socket.on('close', () => finish(isAccepted ? { kind: 'accepted', bytes } : DIED))
  })
}

const DIED: Knock = { kind: 'failed', code: 'closed' }

function connectTo(place: Place): Socket {
  if ('path' in place) return net.connect({ path: place.path })
  const { host, port, roots } = place
  if (roots === undefined) return net.connect({ host, port })
  return tls.connect({
    host,
    port,
    ca: [...roots],
    ...(net.isIP(host) === 0 && { servername: host }),
  })
}

/** The error's code, or the error in one word. */
export function codeOf(error: unknown): string {
  return systemErrorCode(error) ?? (error instanceof Error ? error.name : 'error')
}

/** What came of a datagram. */
export type DatagramResult =
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'dropped' }
  | { readonly kind: 'answered'; readonly bytes: Buffer }

/** Sends one datagram, again while there is time, and waits for an answer from there. */
export function sendDatagram(
  host: string,
  port: number,
  payload: Uint8Array,
  isAnswer: (bytes: Buffer) => boolean = () => true,
  timeoutMs: number = PATIENCE.answerMs,
): Promise<DatagramResult> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4')
    let isOver = false
    let resend: NodeJS.Timeout | undefined
    const finish = (result: DatagramResult): void => {
      if (isOver) return
      isOver = true
      clearInterval(resend)
      clearTimeout(timer)
      socket.close()
      resolve(result)
    }
    const timer = setTimeout(() => finish({ kind: 'dropped' }), timeoutMs)
    const onError = (error: Error | null): void => {
      if (error) finish({ kind: 'failed', code: codeOf(error) })
    }
    socket.on('error', onError)
    socket.on('message', (bytes) => {
      if (isAnswer(bytes)) finish({ kind: 'answered', bytes })
    })
    // Connected, so that errors come back and nobody else's datagrams do.
    socket.connect(port, host, (error?: Error | null) => {
      if (error) return onError(error)
      if (isOver) return
      const send = (): void => socket.send(payload, onError)
      send()
      resend = setInterval(send, RESEND_MS)
    })
  })
}

/**
 * Whether the kernel keeps what goes to an address within this namespace: it then gives the address itself, or loopback, as
 * the source. Sends nothing.
 */
export function isKeptHere(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4')
    let isOver = false
    const finish = (isKept: boolean): void => {
      if (isOver) return
      isOver = true
      socket.close()
      resolve(isKept)
    }
    socket.on('error', () => finish(false))
    socket.connect(DISCARD_PORT, host, (error?: Error | null) => {
      if (isOver) return
      if (error) return finish(false)
      const { address } = socket.address()
      finish(address === host || address === '::1' || address.startsWith('127.'))
    })
  })
}

/** What a handshake came to. */
export type Handshake =
  | { readonly kind: 'failed'; readonly code: string }
  | { readonly kind: 'dropped' }
  /** Accepted, and then ended before a certificate was shown. */
  | { readonly kind: 'refused'; readonly code: string }
  /** A certificate was shown. */
  | { readonly kind: 'shown'; readonly isTrusted: boolean; readonly issuer: string }

/** Opens TLS to an address with a name, trusting the given certificates alone. */
export function shakeHands(
  { host, port }: { readonly host: string; readonly port: number },
  servername: string,
  roots: readonly string[],
  { connectMs, answerMs }: Patience = PATIENCE,
): Promise<Handshake> {
  return new Promise((resolve) => {
    const raw = net.connect({ host, port })
    let secure: tls.TLSSocket | undefined
    const finish = (result: Handshake): void => {
      clearTimeout(timer)
      secure?.destroy()
      raw.destroy()
      resolve(result)
    }
    let timer = setTimeout(() => finish({ kind: 'dropped' }), connectMs)
    const refuse = (code: string): void =>
      finish(secure === undefined ? { kind: 'failed', code } : { kind: 'refused', code })
    raw.on('error', (error) => refuse(codeOf(error)))
    raw.on('close', () => refuse('closed'))
    raw.once('connect', () => {
      clearTimeout(timer)
      timer = setTimeout(() => refuse('no handshake in time'), answerMs)
      secure = tls.connect({
        socket: raw,
        servername,
        ...(roots.length > 0 && { ca: [...roots] }),
        // What is not trusted is looked at, too: it says who is there.
        rejectUnauthorized: false,
      })
      const opened = secure
      opened.on('error', (error) => refuse(codeOf(error)))
      opened.once('secureConnect', () => {
        const { issuer } = opened.getPeerCertificate()
        finish({
          kind: 'shown',
          isTrusted: roots.length > 0 && opened.authorized,
          issuer: [issuer?.O, issuer?.CN].flat().filter(Boolean).join(', ').slice(0, 80),
        })
      })
    })
  })
}
