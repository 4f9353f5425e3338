// What a client of the control API is told where the API refuses. Given out by `client.ts`.

import type { Problem } from './problems.ts'

/** A refusal of the API. */
export class ControlProblem extends Error {
  readonly problem: Problem
  /** After how many seconds to come back, where the API says so. */
  readonly retryAfterSeconds: number | undefined

  constructor(problem: Problem, retryAfterSeconds: number | undefined) {
    const field = problem.field === undefined ? '' : ` (${problem.field})`
    super(`${problem.reason}: ${problem.detail}${field}`)
    this.name = 'ControlProblem'
    this.problem = problem
    this.retryAfterSeconds = retryAfterSeconds
  }
}
