// What one section of the configuration demands of another. Pure; works on the sections that could be read, so that all
// problems are told at once. Called by `load.ts`.

import { DEFAULT_LIMITS } from '../limits.ts'
import { completePlaceholder } from './credential-schema.ts'
import type { Sections } from './schema.ts'
import { formatDuration } from '../wire/units.ts'
import { formatListenAddress, isLocalAddress, type ListenAddress } from './units.ts'
import type { KeyPath } from '../policy/yaml-text.ts'

/** Tells of a problem with the value at a path. */
export type ReportProblem = (keys: KeyPath, code: string, message: string, hint?: string) => void

/** Checks what concerns more than one section, or more than one key of a section. */
export function checkSections(sections: Partial<Sections>, report: ReportProblem): void {
  checkTask(sections, report)
  checkListeners(sections, report)
  checkCredentials(sections.credentials ?? {}, report)
  checkSinks(sections.sinks ?? [], report)
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

function checkTask(
  { task, listen, limits, hooks }: Partial<Sections>,
  report: ReportProblem,
): void {
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
  if (listen && !isLocalAddress(listen.proxy) && task.identity.sources === undefined)
    report(
      ['listen', 'proxy'],
      'shared-listener',
      `whoever reaches ${formatListenAddress(listen.proxy)} would be the static task`,
      'listen on loopback or on a unix socket, or list the clients in `task.identity.sources`',
    )
  const names = task.rules.map((rule) => rule.replace(/@.*$/, ''))
  names.forEach((name, index) => {
    if (names.indexOf(name) !== index)
      report(['task', 'rules', index], 'duplicate', `the rule set \`${name}\` is named twice`)
  })
}

function checkListeners({ listen, control }: Partial<Sections>, report: ReportProblem): void {
  const seen = new Map<string, string>()
  const check = (keys: readonly string[], address: ListenAddress | undefined): void => {
    if (address === undefined || (address.kind === 'tcp' && address.port === 0)) return
    const text = formatListenAddress(address)
    const other = seen.get(text)
    if (other !== undefined)
      report(keys, 'conflict', `\`${keys.join('.')}\` and \`${other}\` are the same address`)
    seen.set(text, keys.join('.'))
  }
  check(['listen', 'proxy'], listen?.proxy)
  check(['listen', 'health'], listen?.health)
  check(['control', 'listen'], control?.listen)
  if (control?.listen.kind !== 'tcp') return
  if (control.tokenFile === undefined)
    report(
      ['control', 'listen'],
      'missing-key',
      '`control.tokenFile` is required where `control.listen` is TCP',
    )
  if (!isLocalAddress(control.listen))
    report(
      ['control', 'listen'],
      'not-served',
      '`control.listen` beyond this machine needs TLS, which is not served',
    )
}

function checkCredentials(credentials: Sections['credentials'], report: ReportProblem): void {
  const variables = new Map<string, string>()
  for (const [name, { placeholder }] of Object.entries(credentials)) {
    const { env } = completePlaceholder(name, placeholder)
    const other = variables.get(env)
    if (other !== undefined)
      report(
        ['credentials', name, 'placeholder', 'env'],
        'conflict',
        `the placeholders of \`${other}\` and \`${name}\` would both be in ${env}`,
        `give \`credentials.${name}.placeholder.env\` another name`,
      )
    variables.set(env, name)
  }
}

/** A sink's cursor is kept under its name, which comes from its URL: two sinks with one URL would share it. */
function checkSinks(sinks: Sections['sinks'], report: ReportProblem): void {
  const urls = sinks.map(({ http }) => http?.url ?? 'stdout')
  urls.forEach((url, index) => {
    if (urls.indexOf(url) !== index)
      report(['sinks', index], 'duplicate', `there is a sink for ${url} already`)
  })
}
