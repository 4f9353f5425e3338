// The body that `explain` is given: which file, and what rules see in it. Called by `explain.ts`.

import { readFileSync } from 'node:fs'

import type { Question } from '../policy/decision.ts'
import type { Content, Inspector } from '../policy/subject.ts'
import { readContent } from '../understand/read-content.ts'
import { UsageError } from './io.ts'

/** Reads the file that `--body @FILE` names. @throws UsageError */
export function readBodyFile(flag: string): Uint8Array {
  const file = flag.slice(1)
  if (!flag.startsWith('@') || file === '')
    throw new UsageError(`\`--body ${flag}\` is not @FILE, such as --body @request.json`)
  try {
    return readFileSync(file)
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new UsageError(`\`--body ${flag}\` cannot be read: ${why}`)
  }
}

/** What a live call with this body would be understood as. @param bytesMax of a body that is read whole */
export function readBodyContent(
  question: Question,
  bytes: Uint8Array,
  inspectors: readonly Inspector[],
  bytesMax: number,
): Content {
  const content = readContent(question, bytes, inspectors)
  // Of a push no more is read than tells its updates, however long it is.
  return content.git === undefined && bytes.length > bytesMax
    ? { fault: 'body-too-large' }
    : content
}
