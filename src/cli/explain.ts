// `sallyport explain`: the verdict on one call and every rule that was looked at, from the code that decides live traffic.
// Called by `program.ts`.

import { Option, type Command } from 'commander'

import type { Config } from '../config/config.ts'
import { pinnedFinderFor } from '../config/pinned-rules.ts'
import { refuseStatic, surroundingsOf } from '../config/regulated.ts'
import { compileTaskPolicy, loadRuleSets, type TaskRules } from '../config/rules.ts'
import { EgressError } from '../errors.ts'
import type { Policy } from '../policy/compile.ts'
import type { Decision, TraceStep } from '../policy/decision.ts'
import type { PolicyChain } from '../policy/conjunction.ts'
import { explainTogether } from '../policy/explain.ts'
import { factsOf, type Moment } from '../policy/facts.ts'
import { makeItem } from '../policy/inside-grammar.ts'
import type { Verdict } from '../policy/rule-set.ts'
import { askAbout, type Asked } from '../policy/written-call.ts'
import type { ControlClient } from '../control/client.ts'
import { DATA_CLASSES, type DataClass } from '../tasks/task.ts'
import { isOwnHost, OWN_HOST } from '../wire/own-host.ts'
import { configFor, staticTaskFor, staticTaskOf, type CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { chainOf, rulesOf } from './live-task.ts'
import { readBodyContent, readBodyFile } from './explain-body.ts'
import { printDecision, printRefusal } from './explain-text.ts'
import { EXIT_CODES, printJson, UsageError, type CommandIo } from './io.ts'
import { readMoment } from './period.ts'
import { formatProblems } from './problems.ts'

interface ExplainFlags {
  readonly after?: DataClass
  readonly task?: string
  readonly rules?: readonly string[]
  readonly environment?: string
  readonly param: Readonly<Record<string, string>>
  readonly header: readonly string[]
  readonly tool?: string
  readonly resource?: string
  readonly prompt?: string
  readonly body?: string
  readonly at?: string
  readonly call?: readonly string[]
}

interface Explained {
  readonly decision: Decision
  readonly trace: readonly TraceStep[]
}

/** Adds the verb. */
export function registerExplain(
  program: Command,
  io: CommandIo,
  exit: (code: number) => void,
): void {
  program
    .command('explain')
    .description('the verdict on a call, and every rule looked at; exit 0 allow, 1 deny, 3 hold')
    .argument('[METHOD]', 'such as GET, or CONNECT')
    .argument('[URL]', 'such as https://api.github.com/user, or HOST:PORT for CONNECT')
    .option('--task <id>', 'under the rules of this task; default: the static one')
    .option('--rules <name...>', 'under these rule sets instead')
    .option('--environment <name>', 'as a task of this environment')
    .option('--param <name=value>', 'a parameter of the rule sets', addParam, {})
    .option('--header <name: value>', 'a header of the call', addHeader, [])
    .addOption(
      new Option('--after <class>', 'having read this; default: what a task has read').choices(
        DATA_CLASSES,
      ),
    )
    .option('--tool <name>', 'as an MCP message that calls this tool')
    .option('--resource <uri>', 'as an MCP message that reads this resource')
    .option('--prompt <name>', 'as an MCP message that gets this prompt')
    .option(
      '--call <id...>',
      'recorded calls or messages: as they were decided and as they would be',
    )
    .option('--body <@file>', 'with the bytes of this file as its body, where rules look inside')
    .option('--at <time>', 'as at this time, such as 2027-03-28T01:30:00Z; default: now')
    .action(
      async (
        method: string | undefined,
        url: string | undefined,
        _options: unknown,
        command: Command,
      ) => {
        const options = command.optsWithGlobals<CommonOptions & ExplainFlags>()
        if (options.call !== undefined) {
          refuseBesideCall(method, options)
          exit(await explainCalls(options.call, options, io))
          return
        }
        if (method === undefined || url === undefined)
          throw new UsageError(
            'explain needs METHOD and URL, such as: explain GET https://api.github.com/user',
          )
        const config = configFor(options, io, true)
        const { task: taskId } = options
        const isHeld = taskId !== undefined && taskId !== staticTaskOf(config)?.id
        if (!isHeld) {
          const policy = policyFor(config, rulesFor(config, options), io)
          exit(explainCall([policy], method, url, options, io, config))
          return
        }
        if (options.rules !== undefined)
          throw new UsageError('give `--task` or `--rules`, not both')
        const run = async (client: ControlClient): Promise<number> => {
          const [own, ...above] = await chainOf(client, taskId)
          const policies = [own, ...above].map((task) => policyFor(config, rulesOf(task), io))
          const chain: PolicyChain = [policies[0]!, ...policies.slice(1)]
          const asked = { ...options, after: options.after ?? own.read }
          return explainCall(chain, method, url, asked, io, config)
        }
        exit(await callControl(options, io, run))
      },
    )
}

function refuseBesideCall(method: string | undefined, { at }: ExplainFlags): void {
  if (method !== undefined) throw new UsageError('give METHOD and URL, or `--call`, not both')
  if (at !== undefined) throw new UsageError('a recorded call has a time of its own')
}

async function explainCalls(
  ids: readonly string[],
  options: CommonOptions,
  io: CommandIo,
): Promise<number> {
  const config = configFor(options, io, false)
  const showTask = async (taskId: string): Promise<TaskRules | undefined> => {
    let shown: TaskRules | undefined
    const quiet = { ...io, out: () => undefined, err: () => undefined }
    await callControl(options, quiet, async (client) => {
      shown = await client.showTask(taskId)
      return EXIT_CODES.ok
    })
    return shown
  }
  const { explainRecorded } = await import('./explain-call.ts')
  let code: number = EXIT_CODES.ok
  for (const id of ids)
    if ((await explainRecorded(config, id, showTask, options.json === true, io)) !== EXIT_CODES.ok)
      code = EXIT_CODES.no
  return code
}

function policyFor(config: Config, task: TaskRules, io: CommandIo): Policy {
  const { sets, problems: parsed } = loadRuleSets(config.rules.dir, config.limits)
  const { policy, problems } = compileTaskPolicy(sets, config.rules.always, task, {
    findPinned: pinnedFinderFor(config),
  })
  if (policy !== undefined) return policy
  // A set that could not be read is why it seems to be missing.
  const text = formatProblems([...parsed, ...problems], io).trimEnd()
  throw new UsageError(`these rules are not valid\n${text}`)
}

function rulesFor(config: Config, flags: ExplainFlags): TaskRules {
  const { task: taskId, rules, environment, param } = flags
  if (rules !== undefined) {
    if (taskId !== undefined) throw new UsageError('give `--task` or `--rules`, not both')
    return { rules, params: param, environment }
  }
  const task = staticTaskFor(config, taskId)
  if (task === undefined)
    throw new UsageError('there is no static task: name rule sets with `--rules`')
  return {
    rules: task.rules,
    params: { ...task.params, ...param },
    environment: environment ?? task.environment,
    facts: factsOf(task),
    ...(task.observe && { observe: true }),
  }
}

const EXIT_OF: Readonly<Record<Verdict, number>> = {
  allow: EXIT_CODES.ok,
  deny: EXIT_CODES.no,
  hold: 3,
}

function explainCall(
  policies: PolicyChain,
  method: string,
  url: string,
  options: ExplainFlags & { readonly json?: boolean },
  io: CommandIo,
  config: Config,
): number {
  const bytesMax = config.limits.inspectBytesMax
  let explained: Explained
  try {
    explained = explainAsked(policies, questionOf(method, url, options), options, bytesMax)
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    // What cannot be read is refused before any rule is looked at.
    printRefusal(error, options.json === true, io)
    return EXIT_CODES.no
  }
  const { trace } = explained
  const decision = refuseStatic(explained.decision, surroundingsOf(config))
  if (options.json === true) printJson(io, { ...writable(decision), trace })
  else printDecision(decision, trace, io)
  return EXIT_OF[decision.verdict]
}

function explainAsked(
  policies: PolicyChain,
  asked: Asked,
  { body, at, after = 'public' }: ExplainFlags,
  bytesMax: number,
): Explained {
  const bytes = body === undefined ? undefined : readBodyFile(body)
  const moment: Moment = {
    now: at === undefined ? Date.now() : readMoment('--at', at),
    read: after,
  }
  const explained = explainTogether(policies, asked, moment)
  const { inspectors } = explained.decision
  // As live: a body that no rule looks into is not read, nor that of a call which its head alone refuses.
  if (bytes === undefined || inspectors === undefined || 'connect' in asked) return explained
  const content = readBodyContent(asked, bytes, inspectors, bytesMax)
  return explainTogether(policies, { ...asked, content }, moment)
}

function questionOf(method: string, url: string, flags: ExplainFlags): Asked {
  const headers = flags.header.flatMap((line) => {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/s.exec(line) ?? []
    if (name === undefined || value === undefined)
      throw new UsageError(`\`--header ${line}\` is not 'name: value'`)
    return [name, value]
  })
  const named = [flags.tool, flags.resource, flags.prompt].filter((each) => each !== undefined)
  if (named.length > 1) throw new UsageError('give one of `--tool`, `--resource` and `--prompt`')
  const mcp = makeItem(flags)
  if (mcp && flags.body !== undefined)
    throw new UsageError('`--body` says what is inside: leave out `--tool` and its like')
  const asked = askAbout(method, url, headers)
  if (isOwnHost('connect' in asked ? asked.connect.host : asked.endpoint.host))
    throw new UsageError(
      `no rule is asked about ${OWN_HOST}: the sidecar answers it itself, see docs/envelope.md`,
    )
  if ('connect' in asked && flags.body !== undefined) throw new UsageError('a tunnel has no body')
  if (mcp === undefined) return asked
  if ('connect' in asked) throw new UsageError('a tunnel carries no MCP message by itself')
  return { ...asked, content: { mcp } }
}

// JSON has no maps.
function writable(decision: Decision): object {
  const { pins, ...obligations } = decision.obligations
  return {
    ...decision,
    obligations: { ...obligations, ...(pins && { pins: Object.fromEntries(pins) }) },
  }
}

function addParam(
  written: string,
  before: Readonly<Record<string, string>>,
): Record<string, string> {
  const at = written.indexOf('=')
  if (at < 1) throw new UsageError(`\`--param ${written}\` is not name=value`)
  return { ...before, [written.slice(0, at)]: written.slice(at + 1) }
}

function addHeader(written: string, before: readonly string[]): string[] {
  return [...before, written]
}
