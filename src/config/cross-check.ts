// What one section of the configuration demands of another. Pure; works on the sections that could be read, so that all
// problems are told at once. Called by `load.ts`.

import { RESERVED_PRINCIPALS } from '../control/roles.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import { checkDoors } from './check-doors.ts'
import { checkProxySection } from './check-proxy.ts'
import { checkProfiles } from './profile-schema.ts'
import { placeholdersOf } from '../credentials/definition.ts'
import { completePlaceholders } from './credentials/placeholder-schema.ts'
import type { ReportProblem } from './report-problem.ts'
import type { Sections } from './schema.ts'
import { formatDuration } from '../wire/units.ts'
import { isLocalAddress } from './units.ts'

/** Checks what concerns more than one section, or more than one key of a section. */
export function checkSections(sections: Partial<Sections>, report: ReportProblem): void {
  checkTask(sections, report)
  checkDoors(sections, report)
  checkControl(sections, report)
  checkCredentials(sections.credentials ?? {}, report)
  checkSinks(sections.sinks ?? [], report)
  checkProfiles(sections.profiles ?? {}, report)
  checkProxySection(sections, report)
  const { journal } = sections
  if (journal && journal.segmentBytes > journal.maxBytes)
    report(
      ['journal', 'segmentBytes'],
      'conflict',
      '`journal.segmentBytes` is above `journal.maxBytes`',
    )
  if (journal && journal.segmentBytes > 1024 ** 3)
    report(
      ['journal', 'segmentBytes'],
      'invalid-value',
      '`journal.segmentBytes`: expected at most 1GiB',
    )
}

/** Checks what a task demands of the other sections. */
export function checkTask({ task, limits, hooks }: Partial<Sections>, report: ReportProblem): void {
  if (!task) return
  const hook = task.sandbox.hooks?.end
  if (hooks && hook !== undefined && !Object.hasOwn(hooks, hook))
    report(
      ['task', 'sandbox', 'hooks', 'end'],
      'missing-key',
      `there is no hook \`${hook}\``,
      `known: ${Object.keys(hooks).join(', ') || 'none'}`,
    )
  const lifetimeMsMax = limits?.taskLifetimeMs ?? DEFAULT_LIMITS.taskLifetimeMs
  if (task.expires > lifetimeMsMax)
    report(
      ['task', 'expires'],
      'limit-exceeded',
      `\`task.expires\` is above \`limits.taskLifetimeMs\`, ${formatDuration(lifetimeMsMax)}`,
      'shorten the task, or raise the limit',
    )
  const names = task.rules.map((rule) => rule.replace(/@.*$/, ''))
  names.forEach((name, index) => {
    if (names.indexOf(name) !== index)
      report(['task', 'rules', index], 'duplicate', `the rule set \`${name}\` is named twice`)
  })
}

function checkControl({ control, reviewers = {} }: Partial<Sections>, report: ReportProblem): void {
  if (control === undefined) return
  const { listen, tokenFile, principals, tls } = control
  if (tokenFile !== undefined && principals.length > 0)
    report(
      ['control', 'tokenFile'],
      'conflict',
      '`control.tokenFile` is the one administrator, and `control.principals` names others',
      'keep one of the two',
    )
  if (listen.kind === 'unix' && tls !== undefined)
    report(['control', 'tls'], 'conflict', '`control.tls` is for a TCP listener')
  if (listen.kind === 'tcp' && tokenFile === undefined && principals.length === 0)
    report(
      ['control', 'listen'],
      'missing-key',
      '`control.tokenFile` or `control.principals` is required where `control.listen` is TCP',
    )
  if (tls === undefined && !isLocalAddress(listen))
    report(
      ['control', 'listen'],
      'missing-key',
      '`control.tls` is required where `control.listen` is beyond this machine',
    )
  checkPrincipals(control, report)
  for (const name of Object.keys(reviewers)) {
    if (RESERVED_PRINCIPALS.includes(name))
      report(['reviewers', name], 'conflict', `the name \`${name}\` says who else acted`)
    const principal = principals.find((each) => each.name === name)
    if (principal && !principal.roles.includes('approver'))
      report(['reviewers', name], 'conflict', `the principal \`${name}\` is no approver`)
  }
}

function checkPrincipals({ principals, tls }: Sections['control'], report: ReportProblem): void {
  const names = principals.map(({ name }) => name)
  principals.forEach(({ name, mtls }, index) => {
    const keys = ['control', 'principals', index]
    if (RESERVED_PRINCIPALS.includes(name))
      report([...keys, 'name'], 'conflict', `the name \`${name}\` says who else acted`)
    if (names.indexOf(name) !== index)
      report([...keys, 'name'], 'duplicate', `there is a principal \`${name}\` already`)
    if (mtls !== undefined && tls?.clientCa === undefined)
      report([...keys, 'mtls'], 'missing-key', '`mtls` needs `control.tls.clientCa`')
  })
}

function checkCredentials(credentials: Sections['credentials'], report: ReportProblem): void {
  checkContainers(credentials, report)
  const variables = new Map<string, string>()
  for (const [name, { placeholder, inject }] of Object.entries(credentials))
    for (const { env, part } of placeholdersOf(
      completePlaceholders(name, inject.kind, placeholder),
    )) {
      const keys = ['placeholder', ...(part === undefined ? [] : ['parts', part]), 'env']
      const other = variables.get(env)
      if (other !== undefined)
        report(
          ['credentials', name, ...keys],
          'conflict',
          `the placeholders of \`${other}\` and \`${name}\` would both be in ${env}`,
          `give \`credentials.${name}.${keys.join('.')}\` another name`,
        )
      variables.set(env, name)
    }
}

// A sandbox has one variable, and asks for one.
function checkContainers(credentials: Sections['credentials'], report: ReportProblem): void {
  const [first, ...others] = Object.entries(credentials).filter(([, { answers }]) => answers?.ecs)
  for (const [name] of others)
    report(
      ['credentials', name, 'answers', 'ecs'],
      'conflict',
      `containers ask for \`${first?.[0] ?? ''}\` already`,
    )
}

/** A sink's cursor is kept under its name; two that write one file would cut off what the other wrote when one fails. */
function checkSinks(sinks: Sections['sinks'], report: ReportProblem): void {
  const names = sinks.map(({ name }) => name)
  names.forEach((name, index) => {
    if (names.indexOf(name) !== index)
      report(
        ['sinks', index],
        'duplicate',
        `there is a sink \`${name}\` already`,
        'give one of them a `name`',
      )
  })
  const paths = sinks.map((sink) => (sink.kind === 'file' ? sink.path : undefined))
  paths.forEach((path, index) => {
    if (path !== undefined && paths.indexOf(path) !== index)
      report(['sinks', index, 'file', 'path'], 'duplicate', 'another sink writes this file')
  })
}
