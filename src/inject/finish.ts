// Which finisher adds what a kind of injection adds last. Called by `brokering/prepare.ts`.

import type { Injection } from '../credentials/definition.ts'
import type { Finisher } from './finisher.ts'
import { formFinisher } from './form.ts'
import { hmacFinisher } from './hmac.ts'
import { httpSignatureFinisher } from './http-signature.ts'
import { jsonFinisher } from './json-member.ts'
import { mtlsFinisher } from './mtls.ts'
import { awsSigner } from './sign-aws.ts'

export type { Finished, Finisher, Unfinished } from './finisher.ts'

const FINISHERS: Readonly<Partial<Record<Injection['kind'], Finisher>>> = {
  form: formFinisher,
  json: jsonFinisher,
  mtls: mtlsFinisher,
  hmac: hmacFinisher,
  'http-signature': httpSignatureFinisher,
  sigv4: awsSigner,
}

/** The finisher of a kind of injection; undefined where the head is all there is to it. */
export function finisherOf({ kind }: Injection): Finisher | undefined {
  return FINISHERS[kind]
}
