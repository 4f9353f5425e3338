// The installation's own addresses: free to be taken, or taken by its own sidecar. Binds each for a moment, connects to those
// that are taken, and to nothing else. Called by `outside.ts`.

import { existsSync } from 'node:fs'
import net from 'node:net'

import type { Config } from '../../config/config.ts'
import { formatListenAddress, type ListenAddress } from '../../config/units.ts'
import { reporterFor, type Finding } from '../finding.ts'
import {
  envelopeRequest,
  getRequest,
  isOfControl,
  jsonOf,
  memberOf,
  readAnswer,
} from '../probes/http-text.ts'
import { codeOf, knock, type Place } from '../probes/knock.ts'
import { provesOurs } from '../probes/ours.ts'

const { ok, fail } = reporterFor('listen')

type Role = 'proxy' | 'health' | 'control'

/** Checks every address that a start would bind. */
export function checkListeners({ listen, control }: Config): Promise<readonly Finding[]> {
  const { socks, transparent } = listen
  const doors: readonly (readonly [
    name: string,
    address: ListenAddress | undefined,
    role: Role,
  ])[] = [
    ['listen.proxy', listen.proxy, 'proxy'],
    ['listen.socks', socks, 'proxy'],
    ['listen.transparent.http', transparent.http, 'proxy'],
    ['listen.transparent.tls', transparent.tls, 'proxy'],
    ['listen.transparent.dns', transparent.dns, 'proxy'],
    ['listen.health', listen.health, 'health'],
    ['control.listen', control.listen, 'control'],
  ]
  return Promise.all(
    doors.flatMap(([name, address, role]) =>
      address === undefined ? [] : [checkAddress(name, address, role)],
    ),
  )
}

async function checkAddress(name: string, address: ListenAddress, role: Role): Promise<Finding> {
  const tried = `${name} ${formatListenAddress(address)}`
  const place = placeOf(address)
  // A unix socket that nobody answers at is taken over by a start; binding would make it.
  const code = address.kind === 'unix' ? undefined : await tryBind(address)
  const isFree = address.kind === 'unix' ? !existsSync(address.path) : code === undefined
  if (isFree) return ok(tried, 'is free', 'a sidecar may start')
  if (code !== undefined && code !== 'EADDRINUSE')
    return fail(tried, `cannot be bound: ${code}`, 'the sidecar does not start', mendFor(code))
  if (await isOurs(place, role)) return ok(tried, 'a sidecar answers', 'it runs')
  if (address.kind === 'unix' && (await knock(place)).kind !== 'accepted')
    return ok(tried, 'nobody answers', 'a start takes it over')
  return fail(
    tried,
    'taken by another program',
    'the sidecar does not start',
    'stop it, or name another port',
  )
}

function placeOf(address: ListenAddress): Place {
  if (address.kind === 'unix') return { path: address.path }
  const { host, port } = address
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port }
}

function mendFor(code: string): string {
  return code === 'EACCES'
    ? 'take a port above 1023, or start with CAP_NET_BIND_SERVICE'
    : 'name an address of this machine'
}

function tryBind({
  host,
  port,
}: Extract<ListenAddress, { kind: 'tcp' }>): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = net.createServer((socket) => socket.destroy())
    server.once('error', (error) => resolve(codeOf(error)))
    server.listen({ host, port }, () => server.close(() => resolve(undefined)))
  })
}

async function isOurs(place: Place, role: Role): Promise<boolean> {
  const request =
    role === 'proxy'
      ? envelopeRequest('absolute')
      : getRequest(role === 'health' ? '/readyz' : '/openapi.json', 'localhost')
  const result = await knock(place, request)
  const answer = result.kind === 'accepted' ? readAnswer(result.bytes) : undefined
  if (answer === undefined) return false
  if (role === 'proxy') return provesOurs(answer) !== undefined
  return role === 'health'
    ? Array.isArray(memberOf(jsonOf(answer.body), 'checks'))
    : isOfControl(answer)
}
