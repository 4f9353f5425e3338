// TCP straight to elsewhere: ports that no door takes must not be accepted; 80 and 443 only by the sidecar itself.
// Called by `inside.ts`.

import { reporterFor, type Finding } from '../finding.ts'
import { isKeptHere, knock, type Knock } from './knock.ts'
import {
  anyOrigin,
  failureWords,
  httpOrigin,
  shownBytes,
  tlsOrigin,
  type Endpoint,
  type Origin,
} from './ours.ts'
import type { Probe } from './probe.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('tcp')

/** Remote shells, mail, encrypted DNS, other web ports, databases, git: what data leaves by. */
const PORTS = [22, 25, 853, 5432, 8080, 8443, 9418]

const MEND =
  'let the sandbox have no route but to the sidecar, or drop what leaves it to other addresses'

/** Tries them all at once. */
export const probeTcp: Probe = async (around) => {
  const lists = await Promise.all(
    around.targets.map(async (host) => [
      ...(await tryPorts(host, around)),
      ...(await Promise.all([tryDoor(host, 80, around), tryDoor(host, 443, around)])),
    ]),
  )
  return lists.flat()
}

/** Ports of one address; those to which the same happened are told together. */
async function tryPorts(host: string, around: Surroundings): Promise<readonly Finding[]> {
  const isKept = await isKeptHere(host)
  const results = await Promise.all(
    PORTS.map(async (port) => ({ port, result: await knock({ host, port }) })),
  )
  const open = await Promise.all(
    results.flatMap(({ port, result }) =>
      result.kind === 'accepted' ? [judgeAccepted({ host, port }, result.bytes, around)] : [],
    ),
  )
  const closed = Map.groupBy(
    results.filter(({ result }) => result.kind !== 'accepted'),
    ({ result }) => wordsOf(result),
  )
  return [
    ...open,
    ...[...closed].map(([words, list]) => {
      const tried = `TCP to ${host}, ports ${list.map(({ port }) => port).join(' ')}`
      // Far away nobody can be told from a filter that refuses in its name.
      if (words === 'refused' && !isKept && around.interfaces.length > 0)
        return warn(
          tried,
          'refused, by a filter or by the far end',
          'cannot be told apart from here',
          'have the filter drop instead, and run this again',
        )
      return ok(tried, words, 'no way out')
    }),
  ]
}

async function judgeAccepted(
  endpoint: Endpoint,
  banner: Buffer,
  around: Surroundings,
): Promise<Finding> {
  const tried = `TCP to ${endpoint.host}, port ${endpoint.port}`
  const origin = await anyOrigin(endpoint, around)
  if (origin.kind === 'ours') return ok(tried, `accepted: ${origin.how}`, 'intercepted')
  return fail(tried, `accepted, ${shownBytes(banner)} came`, 'a way out around the sidecar', MEND)
}

/** A port that the sidecar may intercept: then it has to prove that it is the sidecar. */
async function tryDoor(host: string, port: 80 | 443, around: Surroundings): Promise<Finding> {
  const endpoint = { host, port }
  const origin = await (port === 80 ? httpOrigin(endpoint) : tlsOrigin(endpoint, around.roots))
  return judgeDoor(`${port === 80 ? 'HTTP' : 'TLS'} to ${host}, port ${port}`, origin)
}

function judgeDoor(tried: string, origin: Origin): Finding {
  switch (origin.kind) {
    case 'ours':
      return ok(tried, origin.how, 'intercepted')
    case 'ended':
      return ok(tried, `accepted within this namespace, ${origin.how}`, 'nothing left it')
    case 'none':
      return ok(tried, noneWords(origin.knock), 'no way out')
    case 'foreign':
    default:
      return fail(tried, origin.how, 'somebody else than the sidecar is reached', MEND)
  }
}

function wordsOf(result: Knock): string {
  return result.kind === 'accepted' ? 'accepted' : failureWords(result)
}

function noneWords(result: Knock): string {
  return wordsOf(result)
}
