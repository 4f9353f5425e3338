// `sallyport env --task`: the variables of a task that a running sidecar was asked for. Its token is shown once, when the
// task is made, so it comes from SALLYPORT_TASK_TOKEN here. Called by `env.ts`.

import type { CommonOptions } from './common.ts'
import { callControl } from './control.ts'
import { EXIT_CODES, type CommandIo } from './io.ts'
import { writeVariables, type Shell } from './shells.ts'

const NO_TOKEN =
  'the proxy URLs hold no token: it was shown when the task was made; set SALLYPORT_TASK_TOKEN to it'

/** Prints a task's variables. @returns the exit code */
export function printTaskEnv(
  id: string,
  shell: Shell,
  options: CommonOptions,
  io: CommandIo,
): Promise<number> {
  const token = io.environment['SALLYPORT_TASK_TOKEN']
  return callControl(options, io, async (client) => {
    const { proxy, env } = await client.showEnvironment(id)
    const base = proxy ?? env['HTTP_PROXY']
    const isWhole = base === undefined || token !== undefined
    // JSON has no comments.
    if (!isWhole && shell === 'json') io.err(`${NO_TOKEN}\n`)
    else if (!isWhole) io.out(`# ${NO_TOKEN}\n`)
    io.out(writeVariables(token === undefined ? env : withToken(env, base, id, token), shell))
    return EXIT_CODES.ok
  })
}

/** Puts the task and its token into every variable that is the proxy's URL. */
function withToken(
  env: Readonly<Record<string, string>>,
  base: string | undefined,
  id: string,
  token: string,
): Record<string, string> {
  if (base === undefined || !URL.canParse(base)) return { ...env }
  const authority = new URL(base).host
  const whole = `http://${id}:${token}@${authority}`
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      URL.canParse(value) && new URL(value).host === authority ? whole : value,
    ]),
  )
}
