// Names of people as they are compared to keep one out. Pure. Called by whoever keeps apart who asked and who answers:
// `ledger/holds/` and `control/`.

/**
 * Gives the form in which names of people are taken for the same, to keep one out: of letters and digits alone, whatever their
 * case, as a principal's name cannot have what an owner's can.
 */
export function personName(name: string): string {
  const plain = name.normalize('NFKC').toLowerCase()
  return plain.replaceAll(/[^\p{L}\p{N}]/gu, '') || plain
}
