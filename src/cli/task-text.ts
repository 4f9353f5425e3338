// Tasks and receipts as text for a person. What others wrote into them is printed without control characters. Called by
// `task.ts`.

import type { Receipt, TaskView } from '../control/client.ts'
import { escapeUnprintable } from '../record/printable.ts'
import { paintFor, type CommandIo } from './io.ts'

/** Prints a task on one line. */
export function printTaskLine(task: TaskView, io: CommandIo): void {
  const { id, state, owner, agent, notBefore, expiresAt, intent } = task
  const paint = paintFor(io)
  const shown = state === 'active' ? paint.green(state) : paint.yellow(state)
  const who = `${agent.instance} for ${owner.name} (${owner.team})`
  io.out(escapeUnprintable(`${id} `) + shown)
  if (task.observe === true) io.out(` ${paint.bgYellow(paint.black('OBSERVE'))}`)
  const from = state === 'pending' && notBefore !== undefined ? ` from ${notBefore}` : ''
  io.out(escapeUnprintable(`${from} until ${expiresAt} ${who}: ${intent.replaceAll(/\s+/g, ' ')}`))
  io.out('\n')
}

/** Prints a task, one line a fact. */
export function printTask(task: TaskView, io: CommandIo): void {
  const { calls, owner, agent, sandbox } = task
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['id', task.id],
    ['state', `${task.state} since ${task.since} (${task.cause}, by ${task.actor})`],
    ['mode', task.observe === true ? 'OBSERVE: what no rule allows passes' : undefined],
    ['intent', task.intent],
    ['capabilities', task.capabilities?.join(', ')],
    ['labels', task.labels && labelsText(task.labels)],
    ['owner', `${owner.name} (${owner.team})`],
    ['agent', `${agent.account}, ${agent.instance}`],
    ['for', task.principal],
    ['parent', task.parent],
    ['children', task.children.join(', ') || undefined],
    ['sandbox', `${sandbox.id}, teardown: ${sandbox.teardown}`],
    ['rules', task.rules.join(', ')],
    ['credentials', task.credentials.map(({ name }) => name).join(', ') || undefined],
    ['environment', `${task.environment}, up to ${task.ceiling}`],
    ['read', task.read],
    ...limitsOf(task).map((limit) => ['limit', limit] as const),
    ['created', `${task.createdAt} by ${task.createdBy}`],
    ['begins', task.notBefore],
    ['expires', task.expiresAt],
    ['heartbeat', task.heartbeatDueAt],
    ['unproven', task.unproven.join(', ') || undefined],
    ['calls', `${calls.open} open, ${calls.allowed} allowed, ${calls.denied} denied`],
  ]
  for (const [name, value] of facts)
    if (value !== undefined)
      io.out(`${name.padEnd(12)} ${escapeUnprintable(value.replaceAll(/\s+/g, ' '))}\n`)
  if (task.receipt !== undefined) printReceipt(task.receipt, io)
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ')
}

function limitsOf({ limits = [] }: TaskView): string[] {
  return limits.map(({ name, tool, max, used }) => {
    const of = tool === undefined ? '' : ` of ${tool}`
    return `${name}${of}: ${used} of ${max} used`
  })
}

/** Prints a receipt, one line an item. */
export function printReceipt(receipt: Receipt, io: CommandIo): void {
  const paint = paintFor(io)
  const verdict = receipt.complete ? paint.green('complete') : paint.red('not complete')
  io.out(`${verdict}: `)
  io.out(escapeUnprintable(`${receipt.task} ended ${receipt.endedAt} (${receipt.cause})`))
  io.out('\n')
  for (const { kind, name, outcome, count, detail, residualExposureUntil } of receipt.items) {
    const facts = [
      `${kind} ${name}`,
      outcome,
      count === undefined ? '' : String(count),
      detail ?? '',
      residualExposureUntil === undefined
        ? ''
        : `exposed until ${residualExposureUntil ?? 'nobody knows when'}`,
    ]
    io.out(`  ${escapeUnprintable(facts.filter((fact) => fact !== '').join('  '))}\n`)
  }
}
