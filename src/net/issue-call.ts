// Makes call permits. Imported by `ledger/` alone, and the layer test proves it (I1).

import { CallPermit, issue, type CallPermitFields } from './permit.ts'

/** Leave to dial for one call whose obligations are met and whose start is on record. */
export function issueCallPermit(fields: CallPermitFields): CallPermit {
  return issue(() => new CallPermit(fields))
}
