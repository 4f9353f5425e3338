// Variables written for a shell or another reader of variables, quoted as it reads them. Pure. Called by `env.ts`.

/** The writers of `env --shell`. */
export const SHELLS = ['sh', 'fish', 'docker', 'json', 'k8s'] as const

/** One of the writers. */
export type Shell = (typeof SHELLS)[number]

/**
 * Writes variables: `sh` and `fish` to be evaluated, `docker` as an `--env-file`, `json` as one object, `k8s` as the list
 * under a container's `env:`.
 * @throws Error where a value holds a line break or NUL, which an `--env-file` cannot carry
 */
export function writeVariables(variables: Readonly<Record<string, string>>, shell: Shell): string {
  if (shell === 'json') return `${JSON.stringify(variables, undefined, 2)}\n`
  const write = WRITERS[shell]
  return Object.entries(variables)
    .map(([name, value]) => `${write(name, value)}\n`)
    .join('')
}

const WRITERS: Readonly<Record<Exclude<Shell, 'json'>, (name: string, value: string) => string>> = {
  sh: (name, value) => `export ${name}='${value.replaceAll("'", String.raw`'\''`)}'`,
  // In fish's single quotes a backslash escapes itself and the quote.
  fish: (name, value) => `set -gx ${name} '${value.replaceAll(/[\\']/g, String.raw`\$&`)}'`,
  docker: (name, value) => {
    if (/[\r\n\0]/.test(value)) throw new Error(`${name} cannot be written to an --env-file`)
    return `${name}=${value}`
  },
  // A JSON string is a YAML one.
  k8s: (name, value) => `- name: ${name}\n  value: ${JSON.stringify(value)}`,
}
