// Names asked of other servers than the sidecar: over UDP and TCP, of public resolvers, of those that the sandbox is told of,
// of usual local ones. Whoever answers has to be the sidecar's own door. Called by `inside.ts`.

import { OWN_HOST } from '../../wire/own-host.ts'
import { reporterFor, type Finding } from '../finding.ts'
import { askFor, isWholeMessage, withLength, type DnsAnswer, type DnsQuestion } from './dns-text.ts'
import { envelopeRequest } from './http-text.ts'
import { isKeptHere, knock, sendDatagram } from './knock.ts'
import { askHttp, failureWords, provesOurs, shown, SILENT_HERE, strangeName } from './ours.ts'
import type { Probe } from './probe.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('dns')

/** Where stub resolvers and those of container engines listen. */
const LOCAL = ['127.0.0.1', '::1', '127.0.0.53', '127.0.0.11']
const PORT = 53
/** What a server says that looked nothing up. */
const UNASKED = ['REFUSED', 'SERVFAIL', 'NOTIMP', 'FORMERR']
const MEND =
  "stop it, or let the sandbox ask the sidecar's DNS door alone (listen.transparent.dns): names carry data out"

const NO_ANSWER: DnsAnswer = {
  code: 'something that is no answer',
  addresses: [],
  isOurRefusal: false,
}

type Transport = 'UDP' | 'TCP'

/** Tries each server by each transport at once. */
export const probeDns: Probe = async (around) => {
  const servers = [...new Set([...around.targets, ...around.resolvers, ...LOCAL])]
  return Promise.all(
    servers.flatMap((server) => [
      tryServer(server, 'UDP', around),
      tryServer(server, 'TCP', around),
    ]),
  )
}

async function tryServer(
  server: string,
  transport: Transport,
  around: Surroundings,
): Promise<Finding> {
  const tried = `DNS over ${transport} to ${server}`
  const [own, strange] = await Promise.all([
    ask(server, transport, askFor(OWN_HOST)),
    ask(server, transport, askFor(strangeName())),
  ])
  if (typeof own === 'string' && typeof strange === 'string') return ok(tried, own, 'no way out')
  const answers = [own, strange].filter((one) => typeof one !== 'string')
  const happened = `answered ${answers.map(wordsOf).join(' and ')}`
  const how = await ownHow(own, strange, around)
  if (how !== undefined) return ok(tried, `${happened}; ${how}`, "the sidecar's own door")
  const isElsewhere = around.targets.includes(server) && !(await isKeptHere(server))
  if (!isElsewhere && answers.every(({ code }) => UNASKED.includes(code)))
    return warn(tried, happened, 'somebody answers, and looks nothing up', MEND)
  return fail(tried, happened, 'a DNS server that does not prove to be the sidecar', MEND)
}

/** Why a server is the sidecar's door: it refuses as only the sidecar does, or what it names answers as the sidecar. */
async function ownHow(
  own: DnsAnswer | string,
  strange: DnsAnswer | string,
  { proxy }: Surroundings,
): Promise<string | undefined> {
  if (typeof strange !== 'string' && strange.isOurRefusal) return 'the sidecar refuses'
  const isLiar = typeof strange !== 'string' && strange.addresses.length > 0
  const [host] = typeof own === 'string' || isLiar ? [] : own.addresses
  if (host === undefined) return undefined
  const [direct, proxied] = await Promise.all([
    askHttp({ host, port: 80 }, envelopeRequest('origin')),
    proxy && askHttp({ host, port: proxy.port }, envelopeRequest('absolute', proxy.login)),
  ])
  const how = provesOurs(direct) ?? provesOurs(proxied)
  return how === undefined ? undefined : `at ${host} ${how}`
}

async function ask(
  host: string,
  transport: Transport,
  { bytes, read }: DnsQuestion,
): Promise<DnsAnswer | string> {
  if (transport === 'UDP') {
    const result = await sendDatagram(host, PORT, bytes)
    if (result.kind !== 'answered') return failureWords(result)
    return read(result.bytes) ?? NO_ANSWER
  }
  const result = await knock({ host, port: PORT }, withLength(bytes), isWholeMessage)
  if (result.kind !== 'accepted') return failureWords(result)
  if (result.bytes.length === 0 && (await isKeptHere(host))) return SILENT_HERE
  return read(result.bytes.subarray(2)) ?? NO_ANSWER
}

function wordsOf({ code, addresses }: DnsAnswer): string {
  return addresses.length === 0 ? code : `${code} ${shown(addresses.join(' '))}`
}
