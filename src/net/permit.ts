// Permits: nothing is dialed without one (I1). Nominal at compile time by their private fields and proved at run time by
// `isPermit`. Deliberately not made here: `issue-call.ts` is the ledger's, `issue-operator.ts` the configuration's.

import type { Secret } from '../credentials/secret.ts'
import type { AddressPolicy } from '../policy/decision.ts'
import type { Endpoint } from '../wire/authority.ts'

/** What a call's permit allows. */
export interface CallPermitFields {
  readonly callId: string
  readonly taskId: string
  /** The root of the tree that the task is in; itself where it has no parent. */
  readonly rootId: string
  readonly endpoint: Endpoint
  readonly addresses: AddressPolicy
  /** Whether the connection is verified TLS. */
  readonly tls: boolean
  /** Whether rules write the endpoint's name out; asked only where it is new. */
  readonly isNameWritten: () => boolean
  /** Shown to the upstream by TLS, and to nobody else. */
  readonly certificate?: Secret | undefined
}

/** What an operator's permit allows. */
export interface OperatorPermitFields {
  /** The configuration key it comes from. */
  readonly purpose: string
  readonly endpoint: Endpoint
  readonly tls: boolean
}

let isOpen = false

/** Leave to dial for one cleared call. */
export class CallPermit implements CallPermitFields {
  readonly callId: string
  readonly taskId: string
  readonly rootId: string
  readonly endpoint: Endpoint
  readonly addresses: AddressPolicy
  readonly tls: boolean
  readonly isNameWritten: () => boolean
  readonly certificate: Secret | undefined
  readonly #nominal = true

  constructor(fields: CallPermitFields) {
    if (!isOpen) throw new TypeError('permits are issued, not made')
    this.callId = fields.callId
    this.taskId = fields.taskId
    this.rootId = fields.rootId
    this.endpoint = fields.endpoint
    this.addresses = fields.addresses
    this.tls = fields.tls
    this.isNameWritten = fields.isNameWritten
    this.certificate = fields.certificate
  }

  static is(value: unknown): value is CallPermit {
    return typeof value === 'object' && value !== null && #nominal in value && value.#nominal
  }
}

/** Leave to dial for the operator: sinks, named in the configuration. */
export class OperatorPermit implements OperatorPermitFields {
  readonly purpose: string
  readonly endpoint: Endpoint
  readonly tls: boolean
  readonly #nominal = true

  constructor(fields: OperatorPermitFields) {
    if (!isOpen) throw new TypeError('permits are issued, not made')
    this.purpose = fields.purpose
    this.endpoint = fields.endpoint
    this.tls = fields.tls
  }

  static is(value: unknown): value is OperatorPermit {
    return typeof value === 'object' && value !== null && #nominal in value && value.#nominal
  }
}

/** Whether a value is a permit that was issued. */
export function isPermit(value: unknown): value is CallPermit | OperatorPermit {
  return CallPermit.is(value) || OperatorPermit.is(value)
}

/** Makes and marks a permit, and freezes it; for the two issuing modules alone, and a test proves it. */
export function issue<P extends CallPermit | OperatorPermit>(make: () => P): P {
  isOpen = true
  try {
    return Object.freeze(make())
  } finally {
    isOpen = false
  }
}
