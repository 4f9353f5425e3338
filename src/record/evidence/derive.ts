// What a bundle says about its records, made of the records alone and always in the same way: who checks a bundle makes it again
// and compares. Pure. Called by `write-bundle.ts` and `verify-bundle.ts`.

import { jsonText } from '../../wire/json-text.ts'
import type { RecordBody } from '../body.ts'
import type { Checkpoint } from '../proof/checkpoint.ts'
import { aimsFields } from '../project/aims.ts'
import type { Framework } from './control-map.ts'
import { ControlCounter, controlsText, LEVELS } from './controls.ts'
import { InventoryCounter } from './inventory.ts'

/** What a bundle is about. */
export type EvidenceScope =
  | { readonly task: string }
  /** ISO 8601 in UTC. */
  | { readonly since: string | undefined; readonly until: string | undefined }

/** The version of the shapes that are derived here: another one may derive other bytes. */
export const DERIVATION = 1

/** Derives the members of a bundle from its records, one by one, in order. */
export class Derivation {
  readonly #frameworks: readonly Framework[]
  readonly #inventory = new InventoryCounter()
  readonly #controls = new ControlCounter()
  readonly #versions: Set<string> = new Set()
  #receipt: unknown
  #seal: Checkpoint | undefined
  readonly #root: string | undefined

  constructor(scope: EvidenceScope, frameworks: readonly Framework[]) {
    this.#frameworks = frameworks
    this.#root = 'task' in scope ? scope.task : undefined
  }

  /** Takes one record in. @returns the lines that it adds to `decisions.ndjson` and to `checkpoints.ndjson` */
  add(record: RecordBody): { readonly decision?: string; readonly checkpoint?: string } {
    this.#inventory.add(record)
    this.#controls.add(record)
    const { rule, event, sallyport } = record
    if (rule !== undefined && this.#versions.size < VERSIONS_MAX) this.#versions.add(rule.version)
    const { checkpoint, task, detail } = sallyport
    if (task !== undefined && task.id === this.#root) {
      if (event.action === 'task-receipt') this.#receipt = detail?.['receipt']
      if (checkpoint?.final === true) this.#seal = checkpoint
    }
    const decision = decisionLine(record)
    return {
      ...(decision !== undefined && { decision }),
      ...(checkpoint !== undefined && { checkpoint: `${jsonText(checkpoint)}\n` }),
    }
  }

  /** Digests of the rule files that records name. */
  get versions(): ReadonlySet<string> {
    return this.#versions
  }

  /** The receipt of the task's end as it was signed; undefined where there is none. */
  get receipt(): unknown {
    return this.#receipt
  }

  /** The members that are made of all records, by name. */
  members(): Map<string, Buffer> {
    const controls = this.#controls.controls(this.#frameworks)
    const members = new Map([
      ['inventory.json', jsonOf(this.#inventory.inventory())],
      ['controls.json', jsonOf({ levels: LEVELS, controls })],
      ['controls.md', Buffer.from(controlsText(controls))],
    ])
    if (this.#receipt !== undefined) members.set('receipt.json', jsonOf(this.#receipt))
    if (this.#seal !== undefined) members.set('seal.json', jsonOf(this.#seal))
    return members
  }
}

const VERSIONS_MAX = 5000

/** A value as the members of a bundle have it. */
export function jsonOf(value: unknown): Buffer {
  return Buffer.from(`${jsonText(value, 2)}\n`)
}

// Who, what, when, why, under which rule: one line each, the seven fields of AIMS first.
function decisionLine(record: RecordBody): string | undefined {
  const { event, rule, url, http, sallyport, source, destination, mcp, gen_ai: asked } = record
  const { message, task, decision, credential, detail, chain } = sallyport
  if (!/^(?:call-(?:ended|denied)|message-(?:allowed|denied))$/.test(event.action)) return undefined
  return `${jsonText({
    ...aimsFields(record),
    seq: chain?.task?.seq ?? chain?.seq,
    owner: task?.owner,
    principal: task?.principal,
    message: message?.id,
    source: source?.ip,
    method: http?.request.method,
    url: url?.full,
    address: destination?.ip,
    asked: mcp?.method?.name,
    tool: asked?.tool?.name,
    model: asked?.request?.model,
    reason: decision?.reason ?? event.reason,
    ended: event.reason,
    mode: sallyport.mode,
    rule: rule && `${rule.ruleset}/${rule.id}`,
    version: rule?.version,
    policy: decision?.policy,
    data: decision?.data,
    regulation: decision?.regulation,
    category: decision?.category,
    read: decision?.read,
    refusedFor: detail?.['refusedFor'],
    credential: credential?.name,
    credentialAction: credential?.action,
    status: http?.response?.status_code,
    bytesOut: http?.request.bytes,
    bytesIn: http?.response?.bytes,
  })}\n`
}
