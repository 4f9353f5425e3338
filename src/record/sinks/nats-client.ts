// One connection to a NATS server: introduces itself, publishes, and gathers JetStream's acknowledgements. A connection that
// breaks is not mended: the sink opens another. Deliberately judges no answer. Called by `nats.ts`.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import type { OpenStream, OperatorStream } from '../../net/operator-stream.ts'
import { loginFields, type NatsLogin } from './nats-login.ts'
import {
  publication,
  readAnswer,
  ServerReader,
  type NatsAnswer,
  type NatsMessage,
  type ServerInfo,
} from './nats-protocol.ts'
import { joinPieces, wait, type Patience } from './patience.ts'

/** What a connection is made with. */
export interface NatsClientOptions {
  readonly open: OpenStream
  /** Whether the connection is verified TLS. */
  readonly tls: boolean
  /** Asked for each connection: what is in a file may have been renewed. @throws Error that names no secret */
  readonly login: () => NatsLogin
  /** The program's version. */
  readonly version: string
}

/** Why it does not go on: the server's own words, or ours for what somebody has to change. */
export class NatsError extends Error {
  /** Whether asking again soon mends nothing. */
  get isRefusal(): boolean {
    return REFUSAL.test(this.message)
  }

  /** Whether the message was larger than the server takes. */
  get isTooLarge(): boolean {
    return /maximum payload/i.test(this.message)
  }
}

const REFUSAL = /violation|revoked|expired|required|invalid|no headers|credentials/i
const PIECE_BYTES = 64 * 1024
const SUBSCRIPTION = '1'
/** A server may say so much without being asked, and so much for each message; an acknowledgement has about 200 bytes. */
const UNASKED_BYTES_MAX = 1024 * 1024
const ANSWER_BYTES_MAX = 2048
/** How long a server has for refusing a message by its announced size. */
const REFUSES_SIZE_MS = 1000

/** A connection that has introduced itself. */
export class NatsClient {
  readonly #stream: OperatorStream
  readonly #reader = new ServerReader()
  readonly #inbox = `_INBOX.${randomBytes(16).toString('hex')}`
  readonly #answers = new Map<number, NatsAnswer>()
  #info: ServerInfo | undefined
  /** Numbers of the messages that are under way: from, and up to but without. */
  #from = 0
  #until = 0
  #pongs = 0
  /** Bytes that the server may say before it is asked anything else. */
  #allowance = UNASKED_BYTES_MAX
  /** A question of the server's is being answered; others need no answer of their own. */
  #isPonging = false
  #broken: Error | undefined
  readonly #ended = Promise.withResolvers<void>()
  #wake: (() => void) | undefined

  private constructor(stream: OperatorStream) {
    this.#stream = stream
  }

  /** Connects and waits until the server has taken the login. @throws NatsError, EgressError of dialing, Error of the connection */
  static async connect(options: NatsClientOptions, patience: Patience): Promise<NatsClient> {
    const limit = AbortSignal.any([patience.closed, AbortSignal.timeout(patience.timeoutMs)])
    const client = new NatsClient(await options.open(limit))
    void client.#listen()
    try {
      await client.#introduce(options, patience)
    } catch (error) {
      client.close()
      throw error
    }
    return client
  }

  /** What the server says of itself. */
  get info(): ServerInfo {
    if (this.#info === undefined) throw new Error('the server has said nothing yet')
    return this.#info
  }

  /** Whether it can be published on. */
  get isOpen(): boolean {
    return this.#broken === undefined
  }

  /**
   * Publishes in order, and waits for all answers as long as one more comes in time.
   * @returns answers by the place of the message; undefined where none came because the connection broke, and why it did
   */
  async publish(
    messages: readonly NatsMessage[],
    patience: Patience,
  ): Promise<{ readonly answers: (NatsAnswer | undefined)[]; readonly error: Error | undefined }> {
    this.#from = this.#until
    this.#until += messages.length
    this.#allowance = UNASKED_BYTES_MAX + messages.length * ANSWER_BYTES_MAX
    try {
      const frames = messages.map((message, at) => this.#frameOf(message, this.#from + at))
      for (const piece of joinPieces(frames.flat(), PIECE_BYTES)) await this.#write(piece, patience)
      await this.#waitUntil(() => this.#answers.size, messages.length, 'acknowledgements', patience)
    } catch (error) {
      this.#fail(error)
    }
    return { answers: this.#takeAnswers(), error: this.#broken }
  }

  /**
   * Publishes one that is larger than the server says it takes: it said so before TLS, when anybody could. It is asked
   * again by the message's announced size alone, so that its refusal is not lost in the reset of a connection with bytes unread.
   */
  async publishLarge(
    message: NatsMessage,
    patience: Patience,
  ): Promise<{ readonly answer: NatsAnswer | undefined; readonly error: Error | undefined }> {
    this.#from = this.#until
    this.#until += 1
    const [announcement, rest] = this.#frameOf(message, this.#from)
    try {
      await this.#write(announcement, patience)
      await Promise.race([this.#ended.promise, sleep(REFUSES_SIZE_MS)])
      await this.#write(rest, patience)
      await this.#waitUntil(() => this.#answers.size, 1, 'an acknowledgement', patience)
    } catch (error) {
      this.#fail(error)
    }
    return { answer: this.#takeAnswers()[0], error: this.#broken }
  }

  /** Breaks the connection off. */
  close(): void {
    this.#fail(new Error('closed'))
  }

  #frameOf(message: NatsMessage, number: number): readonly [Buffer, Buffer] {
    return publication(message, `${this.#inbox}.${String(number)}`)
  }

  #takeAnswers(): (NatsAnswer | undefined)[] {
    const count = this.#until - this.#from
    const answers = Array.from({ length: count }, (_, at) => this.#answers.get(this.#from + at))
    this.#answers.clear()
    return answers
  }

  async #introduce({ tls, login, version }: NatsClientOptions, patience: Patience): Promise<void> {
    await this.#waitUntil(() => (this.#info === undefined ? 0 : 1), 1, 'a greeting', patience)
    const { headers, tlsRequired, nonce } = this.info
    // Before anything is shown: what was configured as cleartext stays it, and says nothing to a server that wants TLS.
    if (tlsRequired && !tls) throw new NatsError('TLS is required: write tls:// for nats://')
    if (!headers) throw new NatsError('the server takes no headers')
    const fields = {
      verbose: false,
      pedantic: false,
      headers: true,
      no_responders: true,
      protocol: 1,
      lang: 'node',
      name: 'sallyport',
      version,
      ...provenBy(login, nonce),
    }
    const lines = [
      `CONNECT ${JSON.stringify(fields)}`,
      `SUB ${this.#inbox}.* ${SUBSCRIPTION}`,
      'PING',
      '',
    ]
    await this.#write(Buffer.from(lines.join('\r\n')), patience)
    await this.#waitUntil(() => this.#pongs, 1, 'the login', patience)
  }

  async #write(bytes: Uint8Array, patience: Patience): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    await wait(this.#stream, this.#stream.write(bytes), 'the server to read', patience)
  }

  // One at a time: a server that asks and does not read would fill the memory with answers.
  #pong(): void {
    if (this.#isPonging) return
    this.#isPonging = true
    const end = (): void => void (this.#isPonging = false)
    // A failure shows where the connection is read.
    this.#stream.write(Buffer.from('PONG\r\n')).then(end, end)
  }

  // Each that comes gives the next one its whole time: a server that is slow but answers is not given up.
  async #waitUntil(
    count: () => number,
    wanted: number,
    what: string,
    patience: Patience,
  ): Promise<void> {
    for (let before = count(); before < wanted; before = count()) {
      if (this.#broken !== undefined) throw this.#broken
      const more = new Promise<void>((resolve) => {
        // Whatever else a server says gives it no more time.
        this.#wake = () => {
          if (count() > before || this.#broken !== undefined) resolve()
        }
      })
      await wait(this.#stream, more, what, patience)
      this.#wake = undefined
    }
  }

  async #listen(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#stream.read()
        if (chunk === undefined) throw new Error('the server closed the connection')
        // Reading it takes time that calls need.
        this.#allowance -= chunk.length
        if (this.#allowance < 0) throw new Error('the server says more than it was asked')
        for (const operation of this.#reader.read(chunk)) this.#take(operation)
        this.#wake?.()
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  #take(operation: ReturnType<ServerReader['read']>[number]): void {
    switch (operation.kind) {
      case 'info':
        this.#info = operation.info
        break
      case 'ping':
        this.#pong()
        break
      case 'pong':
        this.#pongs += 1
        break
      case 'error':
        throw new NatsError(operation.text)
      case 'message': {
        const number = this.#numberOf(operation.subject)
        if (number !== undefined) this.#answers.set(number, readAnswer(operation))
      }
    }
  }

  // What nobody waits for is not kept: a server could send any number of it.
  #numberOf(subject: string): number | undefined {
    const [inbox, place] = [subject.slice(0, this.#inbox.length), subject.slice(this.#inbox.length)]
    const number = inbox === this.#inbox && /^\.\d{1,15}$/.test(place) ? Number(place.slice(1)) : -1
    return number >= this.#from && number < this.#until ? number : undefined
  }

  #fail(error: unknown): void {
    this.#broken ??= error instanceof Error ? error : new Error(String(error))
    this.#stream.abort()
    this.#ended.resolve()
    this.#wake?.()
  }
}

function provenBy(login: () => NatsLogin, nonce: string | undefined): Record<string, string> {
  try {
    return loginFields(login(), nonce)
  } catch (error) {
    throw new NatsError(`credentials: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
}
