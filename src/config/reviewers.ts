// The reviewers of the configuration: each is told of the holds that it may answer by a signed webhook, and answers in the same
// way, in the response or by a request of its own. Called by `ledger.ts`.

import { setTimeout as sleep } from 'node:timers/promises'

import { z } from 'zod'

import type { SignedAnswers } from '../control/parts.ts'
import type { Holds } from '../ledger/holds/holds.ts'
import type { Dialer } from '../net/dial.ts'
import { HttpPoster } from '../net/http-client.ts'
import type { Log } from '../record/log.ts'
import { ControlError } from '../tasks/control-error.ts'
import type { HoldReviewer, HoldView } from '../tasks/hold-view.ts'
import { boundedText } from '../tasks/scalars.ts'
import { jsonText } from '../wire/json-text.ts'
import { readWebhookKey, signWebhook, verifyWebhook } from '../wire/signed-webhook.ts'
import { permitUrl } from './operator-permit.ts'
import type { ReviewerSection } from './reviewer-schema.ts'
import { readSinkSecret, type SinkEnvironment } from './sink-secrets.ts'

/** What reviewers are made of. */
export interface ReviewerParts {
  readonly sections: Readonly<Record<string, ReviewerSection>>
  readonly environment: SinkEnvironment
  readonly dialer: Dialer
  readonly holds: Pick<Holds, 'show' | 'mayAnswer' | 'answer'>
  readonly log: Log
}

interface Reviewer {
  readonly who: HoldReviewer
  readonly key: Buffer
  readonly timeoutMs: number
  readonly poster: HttpPoster
  /** Notices that wait or are under way. */
  waiting: number
}

const SECRET_BYTES_MIN = 16
const ATTEMPTS_MAX = 5
const RETRY_MS = 1000
const WAITING_MAX = 1000
const ANSWER_BYTES_MAX = 16 * 1024
const SIGNED_FIELDS = ['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const
/** Ids that were taken, for as long as their time is near; beyond, those taken first are forgotten, and their holds are not open. */
const IDS_MAX = 10_000

const answerSchema = z.strictObject({
  hold: boundedText(64),
  answer: z.enum(['approve', 'deny']),
  reason: boundedText(1024).optional(),
})

/** The reviewers of one sidecar. */
export class Reviewers implements SignedAnswers {
  readonly #reviewers: readonly Reviewer[]
  readonly #holds: ReviewerParts['holds']
  readonly #log: Log
  readonly #ids: Set<string> = new Set()

  /** @throws Error where a secret cannot be read, is too short, or is that of two reviewers */
  constructor({ sections, environment, dialer, holds, log }: ReviewerParts) {
    this.#holds = holds
    this.#log = log
    this.#reviewers = Object.entries(sections).map(([name, { webhook, teams }]) => {
      const purpose = `reviewers.${name}.webhook`
      const key = readWebhookKey(readSinkSecret(`${purpose}.secret`, webhook.secret, environment))
      if (key.length < SECRET_BYTES_MIN)
        throw new Error(`\`${purpose}.secret\`: expected ${SECRET_BYTES_MIN} bytes or more`)
      const url = new URL(webhook.url)
      const limits = { sinkTimeoutMs: webhook.timeout }
      const path = `${url.pathname}${url.search}`
      return {
        who: { name, teams, via: 'webhook' },
        key,
        timeoutMs: webhook.timeout,
        poster: new HttpPoster(dialer, permitUrl(purpose, url), path, limits),
        waiting: 0,
      }
    })
    const keys = this.#reviewers.map(({ key }) => key.toString('hex'))
    if (new Set(keys).size !== keys.length)
      throw new Error('two of `reviewers` have the same secret')
  }

  /** Tells those who may answer of a hold. */
  tell(hold: HoldView): void {
    for (const reviewer of this.#reviewers)
      if (this.#holds.mayAnswer(hold.id, reviewer.who)) void this.#deliver(reviewer, hold)
  }

  /**
   * Takes an answer that a reviewer signed.
   * @param fields by name in lower case
   * @param id of the hold, as the URL has it
   * @throws ControlError principal-unknown where nobody signed it, or it was taken before; as `Holds.answer`
   */
  take(fields: Readonly<Record<string, string | undefined>>, id: string, body: string): HoldView {
    const reviewer = this.#reviewers.find((each) => this.#isSigned(each, fields, body))
    if (reviewer === undefined)
      throw new ControlError('principal-unknown', 'no reviewer signed this now, or it was taken')
    return this.#answer(reviewer, id, body)
  }

  /** Ends the connections. */
  close(): void {
    for (const { poster } of this.#reviewers) void poster.close()
  }

  #isSigned(
    { who, key }: Reviewer,
    fields: Readonly<Record<string, string | undefined>>,
    body: string,
  ): boolean {
    const id = verifyWebhook(key, fields, body, Date.now() / 1000)
    if (id === undefined || this.#ids.has(`${who.name} ${id}`)) return false
    this.#ids.add(`${who.name} ${id}`)
    const [first] = this.#ids
    if (this.#ids.size > IDS_MAX && first !== undefined) this.#ids.delete(first)
    return true
  }

  #answer({ who }: Reviewer, id: string, body: string): HoldView {
    const { hold, answer, reason } = readAnswer(body)
    if (hold !== id) throw new ControlError('conflict', 'what was signed is about another hold')
    return this.#holds.answer(id, answer, who, reason)
  }

  // Until it is taken, answered by somebody, or was tried often enough: who was not told still finds it in the queue.
  async #deliver(reviewer: Reviewer, hold: HoldView): Promise<void> {
    const { name } = reviewer.who
    if (reviewer.waiting >= WAITING_MAX)
      return this.#log.error({ reviewer: name, hold: hold.id }, 'a reviewer is not told of a hold')
    reviewer.waiting += 1
    try {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
        if (attempt > 0) await sleep(RETRY_MS * 2 ** (attempt - 1), undefined, { ref: false })
        if (this.#holds.show(hold.id)?.state !== 'pending') return
        if (await this.#post(reviewer, hold)) return
      }
      this.#log.error({ reviewer: name, hold: hold.id }, 'a reviewer is not told of a hold')
    } finally {
      reviewer.waiting -= 1
    }
  }

  /** @returns whether it was taken */
  async #post(reviewer: Reviewer, hold: HoldView): Promise<boolean> {
    const { who, key, timeoutMs, poster } = reviewer
    const at = Date.now()
    const body = jsonText({
      type: 'hold.opened',
      timestamp: new Date(at).toISOString(),
      data: hold,
    })
    const id = `hold_${hold.id}`
    const signed = signWebhook(key, { id, timestamp: Math.floor(at / 1000), body })
    try {
      const answer = await poster.post(
        Buffer.from(body),
        { ...signed, 'content-type': 'application/json' },
        AbortSignal.timeout(timeoutMs),
        { bytesMax: ANSWER_BYTES_MAX, fields: SIGNED_FIELDS },
      )
      if (answer.status < 200 || answer.status > 299)
        throw new Error(`answered with status ${answer.status}`)
      const { fields = {} } = answer
      if (fields['webhook-signature'] !== undefined)
        this.take(fields, hold.id, answer.body.toString('utf8'))
      return true
    } catch (error) {
      this.#log.warn({ err: error, reviewer: who.name, hold: hold.id }, "a reviewer's webhook")
      // What was understood and refused is not mended by saying it again.
      return error instanceof ControlError
    }
  }
}

function readAnswer(body: string): z.infer<typeof answerSchema> {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    value = undefined
  }
  const read = answerSchema.safeParse(value)
  if (read.success) return read.data
  throw new ControlError('definition-invalid', 'expected hold, answer and perhaps a reason')
}
