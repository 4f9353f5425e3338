// Where clouds hand out credentials to whoever asks: neither straight nor through the proxy. Called by `inside.ts`.

import { reporterFor, type Finding } from '../finding.ts'
import { getRequest, readAnswer, refusalReason } from './http-text.ts'
import { isKeptHere, knock } from './knock.ts'
import { askHttp, failureWords, placeOf, shownBytes, SILENT_HERE } from './ours.ts'
import type { Probe } from './probe.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, fail } = reporterFor('metadata')

const ADDRESSES = [
  '169.254.169.254',
  '169.254.170.2',
  '168.63.129.16',
  '100.100.100.200',
  '192.0.0.192',
  'fd00:ec2::254',
]
const NAMES = ['169.254.169.254', 'metadata.google.internal']
const PATH = '/latest/meta-data/'
const FIELDS = ['Metadata-Flavor: Google', 'Metadata: true']
const MEND = 'drop what goes to link-local and metadata addresses; allow none of them in rules'

/** Asks each address, and the proxy for some. */
export const probeMetadata: Probe = (around) =>
  Promise.all([
    ...ADDRESSES.map(askStraight),
    ...NAMES.flatMap((name) => (around.proxy === undefined ? [] : [askProxy(name, around)])),
  ])

async function askStraight(host: string): Promise<Finding> {
  const tried = `metadata at ${host}`
  const name = host.includes(':') ? `[${host}]` : host
  const result = await knock({ host, port: 80 }, getRequest(PATH, name, FIELDS))
  if (result.kind !== 'accepted') return ok(tried, failureWords(result), 'no way out')
  const answer = readAnswer(result.bytes)
  const reason = answer && refusalReason(answer)
  if (reason !== undefined) return ok(tried, `the sidecar refuses: ${reason}`, 'intercepted')
  if (result.bytes.length > 0)
    return fail(tried, `answered ${shownBytes(result.bytes)}`, 'credentials are handed out', MEND)
  return (await isKeptHere(host))
    ? ok(tried, SILENT_HERE, 'nothing left it')
    : fail(tried, 'accepted, and not a byte came', 'somebody is there', MEND)
}

async function askProxy(name: string, around: Surroundings): Promise<Finding> {
  const tried = `metadata at ${name} through the proxy`
  const { proxy, roots } = around
  if (proxy === undefined) return ok(tried, 'there is no proxy', 'not tried')
  const fields =
    proxy.login === undefined ? FIELDS : [...FIELDS, `Proxy-Authorization: Basic ${proxy.login}`]
  const answer = await askHttp(
    placeOf(proxy, roots),
    getRequest(`http://${name}${PATH}`, name, fields),
  )
  if (answer === undefined) return ok(tried, 'no answer', 'no way out')
  const reason = refusalReason(answer)
  return reason === undefined
    ? fail(tried, `answered ${answer.status}`, 'credentials are handed out', MEND)
    : ok(tried, `the sidecar refuses: ${reason}`, 'no way out')
}
