// The environment of a command in the sandbox: an allowlist of the caller's variables, what its clients need, placeholders
// where the caller has secrets. Pure. Called by `cli/run.ts`.

/** What the variables are made from. */
export interface EnvironmentFacts {
  /** The caller's. */
  readonly outer: Readonly<Record<string, string | undefined>>
  /** Of `sallyport env`: the proxy, the CA, placeholders by the names that the configuration gives them. */
  readonly clients: Readonly<Record<string, string>>
  /** Names of variables that secrets are read from. */
  readonly secretNames: readonly string[]
  readonly workDir: string
  /** Whether a directory is there in the sandbox. */
  readonly isVisible: (path: string) => boolean
}

/** Where programs are, who one is, how a terminal is written to, which language: nothing that opens a door. */
const PASSED: readonly string[] = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'TERM',
  'COLORTERM',
  'TERM_PROGRAM',
  'COLUMNS',
  'LINES',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'EDITOR',
  'VISUAL',
  'PAGER',
  'NO_COLOR',
  'FORCE_COLOR',
  'CLICOLOR',
  'CI',
  'XDG_CONFIG_HOME',
  'XDG_CACHE_HOME',
  'XDG_DATA_HOME',
  'XDG_STATE_HOME',
  'JAVA_HOME',
  'GOPATH',
  'GOROOT',
  'CARGO_HOME',
  'RUSTUP_HOME',
  'PYENV_ROOT',
  'VIRTUAL_ENV',
  'NVM_DIR',
  'VOLTA_HOME',
  'PNPM_HOME',
]

const LOCALE = /^LC_[A-Z]+$/
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Makes the variables of the command. */
export function sandboxEnvironment({
  outer,
  clients,
  secretNames,
  workDir,
  isVisible,
}: EnvironmentFacts): Record<string, string> {
  const variables: Record<string, string> = { PATH: DEFAULT_PATH }
  for (const [name, value] of Object.entries(outer)) {
    if (value === undefined || !(PASSED.includes(name) || LOCALE.test(name))) continue
    if (name === 'TMPDIR' && !isVisible(value)) continue
    variables[name] = value
  }
  // However a source is called, what it holds stays outside.
  for (const name of secretNames) {
    delete variables[name]
    delete variables[`${name}_FILE`]
  }
  return { ...variables, ...clients, PWD: workDir }
}
