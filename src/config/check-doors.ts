// What the doors demand of the rest of the configuration: an address each, and somebody whose calls they are. Pure; called by
// `cross-check.ts`.

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
  checkShared(sections, report)
  checkTransparent(sections, report)
}

function checkConflicts({ listen, control }: Partial<Sections>, report: ReportProblem): void {
  const seen = new Map<string, string>()
  const others = [
    { keys: ['listen', 'health'], address: listen?.health },
    { keys: ['control', 'listen'], address: control?.listen },
  ]
  for (const { keys, address } of [...doorsOf(listen), ...others.flatMap(given)]) {
    if (address.kind === 'tcp' && address.port === 0) continue
    const text = formatListenAddress(address)
    const other = seen.get(text)
    if (other !== undefined)
      report(keys, 'conflict', `\`${keys.join('.')}\` and \`${other}\` are the same address`)
    seen.set(text, keys.join('.'))
  }
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
