// What the doors demand of the rest of the configuration: an address each, and somebody whose calls they are. Pure; called by
// `cross-check.ts`.

import path from 'node:path'

import type { ReportProblem } from './report-problem.ts'
import type { Sections } from './schema.ts'
import { formatListenAddress, isLocalAddress, type ListenAddress } from './units.ts'

interface Door {
  readonly keys: readonly string[]
  readonly address: ListenAddress
}

/** Checks all that is listened on. */
export function checkDoors(sections: Partial<Sections>, report: ReportProblem): void {
  checkConflicts(sections, report)
  checkNames(sections, report)
  checkShared(sections, report)
  checkTransparent(sections, report)
}

function checkConflicts({ listen, control }: Partial<Sections>, report: ReportProblem): void {
  const seen: Door[] = []
  const others = [
    { keys: ['listen', 'health'], address: listen?.health },
    { keys: ['control', 'listen'], address: control?.listen },
  ]
  for (const door of [...doorsOf(listen), ...others.flatMap(given)]) {
    const other = seen.find(({ address }) => isSame(address, door.address))
    const name = door.keys.join('.')
    if (other !== undefined)
      report(
        door.keys,
        'conflict',
        `\`${name}\` and \`${other.keys.join('.')}\` are the same address`,
      )
    seen.push(door)
  }
}

// Whether only one of the two could be listened on.
function isSame(one: ListenAddress, other: ListenAddress): boolean {
  if (one.kind === 'unix' && other.kind === 'unix')
    return path.normalize(one.path) === path.normalize(other.path)
  if (one.kind === 'unix' || other.kind === 'unix') return false
  if (one.port !== other.port || one.port === 0) return false
  return one.host === other.host || isWithin(one.host, other.host) || isWithin(other.host, one.host)
}

// A listener on `::` takes IPv4 as well.
function isWithin(host: string, every: string): boolean {
  return every === '::' || (every === '0.0.0.0' && !host.includes(':'))
}

function checkNames({ listen, upstream }: Partial<Sections>, report: ReportProblem): void {
  const dns = listen?.transparent?.dns
  if (dns === undefined) return
  if (dns.kind === 'unix') {
    report(
      ['listen', 'transparent', 'dns'],
      'invalid-value',
      '`listen.transparent.dns`: expected ADDRESS:PORT: no client asks for names by a unix socket',
    )
    return
  }
  const written = [formatListenAddress(dns), ...(dns.port === 53 ? [dns.host] : [])]
  if (upstream?.resolver?.some((server) => written.includes(server)) === true)
    report(
      ['upstream', 'resolver'],
      'conflict',
      '`upstream.resolver` names `listen.transparent.dns`, whose addresses only stand for names',
      'name a resolver that knows where upstreams are',
    )
}

// Whoever reaches a door is the static task.
function checkShared({ listen, task }: Partial<Sections>, report: ReportProblem): void {
  if (task === undefined || task.identity.sources !== undefined) return
  for (const { keys, address } of doorsOf(listen))
    if (!isLocalAddress(address))
      report(
        keys,
        'shared-listener',
        `whoever reaches ${formatListenAddress(address)} would be the static task`,
        'listen on loopback or on a unix socket, or list the clients in `task.identity.sources`',
      )
}

function checkTransparent(sections: Partial<Sections>, report: ReportProblem): void {
  const [door] = doorsOf(sections.listen).filter(({ keys }) => keys[1] === 'transparent')
  // A task that could not be read is another problem.
  if (door === undefined || !Object.hasOwn(sections, 'task') || sections.task) return
  report(
    door.keys,
    'missing-key',
    '`listen.transparent` needs `task`: clients that know of no proxy cannot prove whose they are',
    'add `task`, or let clients use `listen.proxy` or `listen.socks`',
  )
}

function doorsOf(listen: Sections['listen'] | undefined): Door[] {
  if (listen === undefined) return []
  const { proxy, socks, transparent = {} } = listen
  return [
    { keys: ['listen', 'proxy'], address: proxy },
    { keys: ['listen', 'socks'], address: socks },
    ...(['http', 'tls', 'dns'] as const).map((name) => ({
      keys: ['listen', 'transparent', name],
      address: transparent[name],
    })),
  ].flatMap(given)
}

function given({
  keys,
  address,
}: Pick<Door, 'keys'> & { readonly address: ListenAddress | undefined }): Door[] {
  return address === undefined ? [] : [{ keys, address }]
}
