// What the tests of `tls/` share: a CA in a directory of its own, and openssl's opinion of certificates.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Test } from 'tap'

import { loadOrMakeCa, type Ca, type CaOptions } from '../../../src/tls/ca.ts'

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

/** Where a test's CA lives; the same test has the same place. */
export function caOptions(t: Test, more: Partial<CaOptions> = {}): CaOptions {
  const root = t.testdirName
  mkdirSync(root, { recursive: true })
  return {
    dir: join(root, 'certs'),
    keyFile: join(root, 'state', 'ca.key'),
    lifetimeMs: 30 * DAY_MS,
    now: Date.now,
    ...more,
  }
}

/** A CA as it is at first start. */
export function makeCa(t: Test, more: Partial<CaOptions> = {}): Ca {
  t.testdir({})
  return loadOrMakeCa(caOptions(t, more))
}

/** What openssl says of a chain, strictly; `ok` where it finds nothing. */
export function verifyStrictly(
  t: Test,
  caPem: string,
  leafPem: string,
  ...more: readonly string[]
): string {
  const root = join(t.testdirName, 'verify')
  mkdirSync(root, { recursive: true })
  writeFileSync(join(root, 'ca.pem'), caPem)
  writeFileSync(join(root, 'leaf.pem'), leafPem)
  const { status, stdout, stderr } = spawnSync(
    'openssl',
    ['verify', '-x509_strict', '-CAfile', 'ca.pem', ...more, 'leaf.pem'],
    { cwd: root, encoding: 'utf8' },
  )
  return status === 0 ? 'ok' : `${stdout}${stderr}`
}
