// Where the program's own modules lie, in a checkout or built: for those that are loaded by their name when they are first
// needed, as a start must not wait for them, and those that run in a process of their own. A build keeps the modules named
// here as files (`bin/build.js`) and puts the code of all others together, this file's at the top. Knows no module's content.

import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** Modules that are loaded by their name, from the top of the sources. */
export const LOADED_LATER = [
  'config/sinks/elastic',
  'config/sinks/http',
  'config/sinks/nats',
  'config/sinks/otlp',
  'config/sinks/splunk',
  'config/sinks/syslog',
  'inspect/graphql/read',
  'record/sinks/file',
  'record/sinks/stdout',
  'understand/read-content',
] as const

/** Modules that others start: the command, what runs inside a sandbox, and the client of the control API. */
export const STARTED = ['main', 'sandbox/inner', 'control/client'] as const

const require = createRequire(import.meta.url)
const HERE = fileURLToPath(import.meta.url)
const TOP = path.dirname(HERE)

/** The directory of the installed package, or of the checkout. */
export const PROGRAM_DIR: string = path.dirname(TOP)

/** The file of a module. */
export function fileOf(module: (typeof LOADED_LATER)[number] | (typeof STARTED)[number]): string {
  return path.join(TOP, `${module}${path.extname(HERE)}`)
}

/** Loads a module at once; whoever asks says what it is. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it is what the caller takes the module for
export function loadNow<Module>(module: (typeof LOADED_LATER)[number]): Module {
  // oxlint-disable-next-line typescript/no-unsafe-return -- it is the module whose type the caller names
  return require(fileOf(module))
}
