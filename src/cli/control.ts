// How a verb reaches a running sidecar: the address and the token from flags, variables or the configuration, and what is
// printed where it refuses or does not answer. Called by the verbs of the control API.

import { readFileSync } from 'node:fs'

import type { Config } from '../config/config.ts'
import { formatListenAddress } from '../config/units.ts'
import { ControlClient, ControlProblem } from '../control/client.ts'
import { loadFor, type CommonOptions } from './common.ts'
import { EXIT_CODES, paintFor, printJson, UsageError, type CommandIo } from './io.ts'
import { formatProblems } from './problems.ts'

const TOKEN_BYTES_MAX = 4096

/**
 * Calls the control API.
 * @param call what to ask, and to print; its number is the exit code
 * @param describe where a refused field was written
 */
export async function callControl(
  options: CommonOptions,
  io: CommandIo,
  call: (client: ControlClient) => Promise<number>,
  describe: (field: string) => string = (field) => field,
): Promise<number> {
  const { address, token } = reach(options, io)
  try {
    return await call(makeClient(address, token))
  } catch (error) {
    if (error instanceof UsageError) throw error
    if (error instanceof ControlProblem) return printProblem(error, options, io, describe)
    const why = error instanceof Error ? error.message : String(error)
    io.err(`the control API at ${address} does not answer: ${why}\n`)
    return EXIT_CODES.no
  }
}

function makeClient(address: string, token: string | undefined): ControlClient {
  try {
    return new ControlClient({ address, token })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function reach(
  options: CommonOptions,
  io: CommandIo,
): { readonly address: string; readonly token: string | undefined } {
  const {
    SALLYPORT_CONTROL: named,
    SALLYPORT_CONTROL_TOKEN: written,
    // Of this command, whatever the sidecar's own configuration says.
    SALLYPORT_CONTROL_TOKEN_FILE: file,
    ...environment
  } = io.environment
  const address = options.control ?? named
  const token = written ?? (file === undefined ? undefined : readToken(file))
  if (address !== undefined && token !== undefined) return { address, token }
  const { control: _control, ...withoutControl } = options
  const { config, problems } = loadFor(withoutControl, { ...io, environment }, true)
  if (address === undefined && config === undefined)
    throw new UsageError(
      `the configuration is not valid\n${formatProblems(problems, io).trimEnd()}`,
    )
  const tokenFile = config?.control.tokenFile
  return {
    address: address ?? addressOf(config!),
    token: token ?? (tokenFile === undefined ? undefined : readToken(tokenFile)),
  }
}

/** An address that means every interface is reached on this machine by the loopback one. */
function addressOf({ control: { listen, tls } }: Config): string {
  if (listen.kind === 'unix') return formatListenAddress(listen)
  const host = listen.host === '0.0.0.0' ? '127.0.0.1' : listen.host === '::' ? '::1' : listen.host
  return `${tls === undefined ? 'http' : 'https'}://${formatListenAddress({ ...listen, host })}`
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(0, TOKEN_BYTES_MAX).trim()
  } catch {
    throw new UsageError(`cannot read the control token in ${file}`)
  }
}

function printProblem(
  { problem, retryAfterSeconds }: ControlProblem,
  { json }: CommonOptions,
  io: CommandIo,
  describe: (field: string) => string,
): number {
  if (json === true) printJson(io, problem)
  else {
    const { reason, detail, field, remedy } = problem
    const where = field === undefined ? '' : `${describe(field)}: `
    const wait = retryAfterSeconds === undefined ? '' : ` (after ${retryAfterSeconds} s)`
    io.err(`${where}${paintFor(io).red(reason)}: ${detail}${wait}\n  ${remedy}\n`)
  }
  return EXIT_CODES.no
}
