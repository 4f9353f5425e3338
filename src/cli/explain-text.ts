// What `sallyport explain` says of a decision: the verdict, what the call would owe and get, every rule that was looked at.
// Called by `explain.ts`.

import { REASONS, type EgressError } from '../errors.ts'
import type { Decision, HoldTerms, Obligations, Quota, TraceStep } from '../policy/decision.ts'
import { paintFor, printJson, type CommandIo } from './io.ts'
import { printTrace } from './trace.ts'

/** Prints a refusal of what cannot be read, before any rule is looked at. */
export function printRefusal({ reason }: EgressError, json: boolean, io: CommandIo): void {
  if (json) printJson(io, { verdict: 'deny', reason, trace: [] })
  else io.out(`${paintFor(io).red('deny')} ${reason}: ${REASONS[reason].title}\n`)
}

/** Prints a decision for people. */
export function printDecision(
  decision: Decision,
  trace: readonly TraceStep[],
  io: CommandIo,
): void {
  const paint = paintFor(io)
  const { verdict, reason, rule, obligations, hold, wouldDeny, inspectors } = decision
  const word = { allow: paint.green, deny: paint.red, hold: paint.yellow }[verdict](verdict)
  const by = rule ? ` by ${rule.ruleset}/${rule.id}` : ''
  const why = verdict === 'allow' ? '' : ` ${reason}: ${REASONS[reason].title}`
  io.out(`${word}${by}${why}\n`)
  if (wouldDeny !== undefined)
    io.out(`${paint.yellow('observed only')}: enforced, it would be ${wouldDeny}\n`)
  if (hold) printReviewers(hold, io)
  if (verdict !== 'deny') printObligations(obligations, io)
  if (inspectors)
    io.out(`${paint.yellow('by the head alone')}: rules look inside for ${inspectors.join(', ')}\n`)
  printTrace(trace, io)
}

function printReviewers({ reviewers, separate }: HoldTerms, io: CommandIo): void {
  const who = reviewers?.join(', ') ?? 'any approver'
  io.out(`reviewers: ${who}${separate ? ', not who owns or made the task' : ''}\n`)
}

function printObligations(owed: Obligations, io: CommandIo): void {
  const { credential, data, regulation, category, accepts, quotas = [] } = owed
  const only = owed.static === false ? ' (a static one is refused: credential-unavailable)' : ''
  if (credential !== undefined) io.out(`credential: ${credential}${only}\n`)
  if (data !== undefined) io.out(`data: ${data}\n`)
  if (regulation) io.out(`regulation: ${regulation.join(', ')}\n`)
  if (category) io.out(`category: ${category.join(', ')}\n`)
  if (accepts !== undefined) io.out(`accepts: ${accepts}\n`)
  if (owed.bodyBytesMax !== undefined) io.out(`body: ${owed.bodyBytesMax} bytes at the most\n`)
  if (owed.maxPackBytes !== undefined) io.out(`pack: ${owed.maxPackBytes} bytes at the most\n`)
  for (const each of quotas) io.out(`limit: ${quotaText(each)}\n`)
}

function quotaText({ rule, limits, ancestor }: Quota): string {
  const { perTool, ...numbers } = limits
  const parts = Object.entries(numbers).map(([name, max]) => `${name} ${max}`)
  const whose = ancestor === undefined ? '' : ` (of the task ${ancestor} above)`
  return `${parts.join(', ')}${perTool === true ? ', each tool' : ''} by ${rule.ruleset}/${rule.id}${whose}`
}
