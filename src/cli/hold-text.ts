// Held calls as text for a person. What the sandbox chose is printed without control characters, and marked off from what the
// sidecar says. Called by `hold.ts`.

import type { HoldView } from '../control/client.ts'
import { escapeUnprintable } from '../record/printable.ts'
import type { HeldTool, HeldUnshown } from '../tasks/hold-view.ts'
import { paintFor, type CommandIo } from './io.ts'

/** Prints a hold on one line. */
export function printHoldLine(hold: HoldView, io: CommandIo): void {
  const { id, state, task, rule, waitsUntil, waiting } = hold
  const paint = paintFor(io)
  const shown = state === 'pending' ? paint.yellow(state) : state
  const who = `${task.agent.instance} for ${task.owner.name} (${task.owner.team})`
  const waits = state === 'pending' ? ` until ${waitsUntil}, ${waiting} waiting` : ''
  io.out(`${escapeUnprintable(id)} ${shown}`)
  io.out(`${oneLine(`${waits} ${callOf(hold)} by rule ${rule.id}, ${who}: ${task.intent}`)}\n`)
}

/** Prints a hold, one line a fact. */
export function printHold(hold: HoldView, io: CommandIo): void {
  const { task, rule, request } = hold
  const { body, tools = [], headers = [], unshown } = request
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['id', hold.id],
    ['state', stateOf(hold)],
    ['reason', hold.reason],
    ['call', callOf(hold)],
    ...tools.map((tool): [string, string] => ['tool', toolOf(tool)]),
    ...headers.map(([name, value]): [string, string] => ['header', `${name}: ${value}`]),
    ['unshown', unshown && unshownOf(unshown)],
    ['body', body && `${body.bytes} bytes${body.type === undefined ? '' : `, ${body.type}`}`],
    ['sha256', body?.sha256],
    ['preview', previewOf(body)],
    ['credential', request.credential],
    ['data', request.data],
    ['task', `${task.id}, ${task.environment}`],
    ['intent', task.intent],
    ['owner', `${task.owner.name} (${task.owner.team})`],
    ['agent', `${task.agent.account}, ${task.agent.instance}`],
    ['for', task.principal],
    ['rule', `${rule.id} of ${rule.ruleset}@${rule.version}`],
    ['reviewers', hold.reviewers?.join(', ')],
    ['separate', hold.separate ? 'who owns the task or made it does not answer' : undefined],
    ['digest', hold.digest],
  ]
  for (const [name, value] of facts)
    if (value !== undefined) io.out(`${name.padEnd(12)} ${oneLine(value)}\n`)
}

function callOf({ request }: HoldView): string {
  const { kind, method, scheme, host, port, path = '', query } = request
  const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  const url = `${scheme}://${authority}${path}${query === undefined ? '' : `?${query}`}`
  return kind === 'upgrade' ? `${method} ${url} (WebSocket)` : `${method} ${url}`
}

function stateOf(hold: HoldView): string {
  const { state, by, via, answeredAt, answerUntil, waitsUntil, waiting, usedBy, cause } = hold
  const facts = [
    state,
    state === 'pending' ? `until ${waitsUntil}, ${waiting} waiting` : '',
    by === undefined ? '' : `by ${by} (${via}) at ${answeredAt}`,
    state === 'approved' || state === 'denied' ? `until ${answerUntil}` : '',
    usedBy === undefined ? '' : `call ${usedBy}`,
    cause ?? '',
  ]
  return facts.filter((fact) => fact !== '').join(', ')
}

function toolOf({ name, arguments: given, truncated }: HeldTool): string {
  if (given === undefined) return name
  return `${name} ${JSON.stringify(given)}${truncated === true ? ' …' : ''}`
}

function unshownOf({ headers, tools }: HeldUnshown): string {
  const facts = [
    headers === undefined ? '' : `${headers} header fields`,
    tools === undefined ? '' : `${tools} tools`,
  ]
  return facts.filter((fact) => fact !== '').join(', ')
}

function previewOf(body: HoldView['request']['body']): string | undefined {
  if (body?.preview === undefined) return undefined
  return body.truncated === true ? `${body.preview} …` : body.preview
}

function oneLine(text: string): string {
  return escapeUnprintable(text.replaceAll(/[^\S\t]*[\r\n]+[^\S\t]*/g, '\\n'))
}
