// Files that a sandbox must not have: the CA's key, state, journal, tokens, sources of credentials; rules and configuration only
// to read; and what people keep their own keys in (R44). Reads a first piece of each and changes nothing. Called by `inside.ts`.

import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

import { reporterFor, type Finding } from '../finding.ts'
import { namesIn } from './own-sockets.ts'
import type { Probe } from './probe.ts'
import { textOf, type Surroundings } from './surroundings.ts'

const { ok, fail } = reporterFor('files')

const PIECE_BYTES = 4096
const MEND =
  'mount an empty directory, or /dev/null, over it in the sandbox; `sallyport run` does so'
const FIXED_MEND =
  'mount it read-only in the sandbox, by a mount of its own; `sallyport run` does so'

/** What people keep keys in, below their home, and what tells that it holds one. */
const PERSONAL: readonly (readonly [place: string, tells: RegExp])[] = [
  ['.aws/credentials', /aws_secret_access_key/],
  ['.azure/msal_token_cache.json', /secret/],
  ['.config/gcloud/application_default_credentials.json', /private_key|refresh_token/],
  ['.config/gcloud/credentials.db', /^SQLite/],
  ['.config/gh/hosts.yml', /oauth_token/],
  ['.docker/config.json', /"auth"|"identitytoken"/],
  ['.git-credentials', /:\/\/[^:]+:[^@]+@/],
  ['.kube/config', /token|client-key-data|password/],
  ['.netrc', /password/],
  ['.npmrc', /_authToken|_password/],
  ['.pypirc', /password/],
]
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----/
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount/token'

/** Looks at each. */
export const probeFiles: Probe = (around) => Promise.resolve(lookAtAll(around))

function lookAtAll(around: Surroundings): Finding[] {
  const { secrets, hidden, fixed } = around.files
  const findings = [
    ...secrets.flatMap((file) => lookAtSecret(file)),
    ...hidden.flatMap((directory) => lookAtHidden(directory)),
    ...fixed.flatMap((place) => lookAtFixed(place)),
    ...lookAtPersonal(around),
  ]
  if (findings.length > 0) return findings
  const seen = `the installation's files at ${around.files.directory}, and people's keys`
  return [ok(seen, 'nothing to read, nothing to change', 'R44 holds')]
}

function lookAtSecret(file: string): Finding[] {
  if (firstPiece(file) !== '')
    return [fail(file, 'can be read', 'a secret of the installation (R44)', MEND)]
  return isWritable(file) && isRegular(file)
    ? [fail(file, 'can be written', 'a secret of the installation can be replaced (R44)', MEND)]
    : []
}

function lookAtHidden(directory: string): Finding[] {
  const names = namesIn(directory)
  // One that is masked is there, and empty.
  if (names.length === 0) return []
  return [
    fail(
      directory,
      `${names.length} entries are seen${isWritable(directory) ? ', and it can be written' : ''}`,
      'what the sidecar keeps for itself (R44)',
      MEND,
    ),
  ]
}

function lookAtFixed(place: string): Finding[] {
  const within = namesIn(place).map((name) => path.join(place, name))
  const writable = [place, ...within].find(isWritable)
  if (writable !== undefined)
    return [
      fail(writable, 'can be written', 'the sandbox can change its own rules (R44)', FIXED_MEND),
    ]
  // What cannot be written can still be moved away by who may write beside it, unless it is mounted.
  const beside = path.dirname(place)
  if (!exists(place) || !isWritable(beside) || isMounted(place)) return []
  return [
    fail(
      place,
      `can be replaced, as ${beside} can be written`,
      'the sandbox can change its own rules (R44)',
      FIXED_MEND,
    ),
  ]
}

function lookAtPersonal({ environment }: Surroundings): Finding[] {
  const homes = new Set([environment['HOME'] ?? os.homedir(), homeOfUser()])
  const found = [...homes].flatMap((home) => [
    ...PERSONAL.map(([place, tells]) => ({ file: path.join(home, place), tells })),
    ...namesIn(path.join(home, '.ssh')).map((name) => ({
      file: path.join(home, '.ssh', name),
      tells: PRIVATE_KEY,
    })),
  ])
  return [...found, { file: SERVICE_ACCOUNT, tells: /./ }].flatMap(({ file, tells }) =>
    tells.test(firstPiece(file))
      ? [fail(file, 'can be read', 'it holds a secret that no sandbox needs (R44)', MEND)]
      : [],
  )
}

function homeOfUser(): string {
  try {
    return os.userInfo().homedir
  } catch {
    return os.homedir()
  }
}

/** The first bytes of a regular file; empty for anything else. */
function firstPiece(file: string): string {
  // Opening a pipe would wait for its writer.
  if (!isRegular(file)) return ''
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, 'r')
    const piece = Buffer.alloc(PIECE_BYTES)
    return piece.toString('latin1', 0, readSync(descriptor, piece))
  } catch {
    return ''
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function isRegular(file: string): boolean {
  try {
    return statSync(file).isFile()
  } catch {
    return false
  }
}

function exists(place: string): boolean {
  return statSync(place, { throwIfNoEntry: false }) !== undefined
}

function isWritable(place: string): boolean {
  try {
    accessSync(place, constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** @see proc_pid_mountinfo(5) */
function isMounted(place: string): boolean {
  return textOf('/proc/self/mountinfo')
    .split('\n')
    .some((line) => unescapeMount(line.split(' ')[4] ?? '') === place)
}

function unescapeMount(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  )
}
