// How what is wrong with a configuration is told to whoever collects it. A type only.

import type { KeyPath } from '../policy/yaml-text.ts'

/** Tells of a problem with the value at a path. */
export type ReportProblem = (keys: KeyPath, code: string, message: string, hint?: string) => void
