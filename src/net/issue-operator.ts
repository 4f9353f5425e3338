// Makes operator permits. Imported by `config/` alone, and the layer test proves it (I1).

import { issue, OperatorPermit, type OperatorPermitFields } from './permit.ts'

/** Leave to dial what a named key of the configuration says. */
export function issueOperatorPermit(fields: OperatorPermitFields): OperatorPermit {
  return issue(() => new OperatorPermit(fields))
}
