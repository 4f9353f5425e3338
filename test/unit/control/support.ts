// Starts a control listener over parts in memory, on loopback or on a unix socket, and speaks to it in raw bytes or JSON.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'

import type { Test } from 'tap'

import type { Role, PrincipalDefinition } from '../../../src/control/roles.ts'
import { ControlServer, type ControlOptions } from '../../../src/control/server.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { makeControlParts, type ControlFixture } from '../../fixtures/control.ts'
import { portOf } from '../../fixtures/port.ts'

/** A running listener. */
export interface Control extends ControlFixture {
  readonly directory: string
  readonly server: ControlServer
  /** As a client writes it. */
  readonly address: string
  readonly port: number
  readonly warnings: string[]
  readonly unexpected: unknown[]
  /** Asks as a principal, `administrator` unless named. */
  ask(method: string, path: string, body?: unknown, more?: Asking): Promise<Answered>
  /** Sends bytes and gives what comes back until the end, or for a while. */
  raw(bytes: string, waitMs?: number): Promise<string>
}

/** How to ask. */
interface Asking {
  readonly as?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What was answered. */
export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, any> // oxlint-disable-line typescript/no-explicit-any
}

/** A principal of a test: its token is `token-of-NAME-0123456789`. */
export interface TestPrincipal {
  readonly name: string
  readonly roles: readonly Role[]
  readonly teams?: readonly string[]
}

/** The token of a test's principal. */
export function tokenOf(name: string): string {
  return `token-of-${name}-0123456789`
}

/** Starts a listener that ends with the test. */
export async function startControl(
  t: Test,
  {
    principals = [],
    unix = false,
    token = !unix,
    ...more
  }: {
    readonly principals?: readonly TestPrincipal[]
    readonly unix?: boolean
    /** Whether the administrator has a token; on a unix socket nobody needs one. */
    readonly token?: boolean
  } & Partial<Pick<ControlOptions, 'limits' | 'tls' | 'parts'>> = {},
): Promise<Control> {
  const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-control-'))
  const fixture = makeControlParts()
  const warnings: string[] = []
  const unexpected: unknown[] = []
  const file = (name: string): string => {
    const at = path.join(directory, `${name}.token`)
    writeFileSync(at, `${tokenOf(name)}\n`, { mode: 0o600 })
    return at
  }
  const server = new ControlServer({
    parts: fixture.parts,
    tokenFile: token && principals.length === 0 ? file('administrator') : undefined,
    principals: principals.map(({ name, roles, teams = [] }): PrincipalDefinition => ({
      name,
      roles,
      teams,
      proof: { kind: 'token', file: file(name) },
    })),
    tls: undefined,
    limits: DEFAULT_LIMITS,
    version: '1.2.3',
    warn: (message) => void warnings.push(message),
    onUnexpected: (error) => void unexpected.push(error),
    ...more,
  })
  const socketPath = path.join(directory, 'control.sock')
  await server.listen(unix ? { path: socketPath } : { host: '127.0.0.1', port: 0 })
  t.teardown(() => {
    void server.close()
    rmSync(directory, { recursive: true, force: true })
    if (unexpected.length > 0)
      throw new Error('an error of the program itself', { cause: unexpected })
  })
  const port = unix ? 0 : portOf(server)
  return {
    ...fixture,
    directory,
    server,
    port,
    address: unix ? `unix:${socketPath}` : `127.0.0.1:${port}`,
    warnings,
    unexpected,
    ask: async (method, at, body, { as = 'administrator', headers = {} } = {}) => {
      const response = await fetch(`http://127.0.0.1:${port}${at}`, {
        method,
        headers: {
          Authorization: `Bearer ${tokenOf(as)}`,
          ...(body !== undefined && { 'Content-Type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      return answeredBy(response)
    },
    raw: (bytes, waitMs = 1000) =>
      exchange(unix ? net.connect(socketPath) : net.connect(port, '127.0.0.1'), bytes, waitMs),
  }
}

/** Reads an answer; one without a body is an empty object. */
export async function answeredBy(response: Response): Promise<Answered> {
  const text = await response.text()
  const body: Answered['body'] = JSON.parse(text === '' ? '{}' : text)
  return { status: response.status, headers: response.headers, body }
}

function exchange(socket: net.Socket, bytes: string, waitMs: number): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const done = (): void => {
      socket.destroy()
      resolve(text)
    }
    const timer = setTimeout(done, waitMs)
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(timer)
      done()
    })
    socket.write(bytes)
  })
}
