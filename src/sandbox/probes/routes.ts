// Interfaces and routes beside loopback: facts that the other probes' outcomes explain. Called by `inside.ts`, last.

import { reporterFor, type Finding } from '../finding.ts'
import { textOf, type Surroundings } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('routes')

const ELSEWHERE = ['tcp', 'udp', 'dns', 'raw', 'gateway', 'metadata']
const REJECT = 0x0200
const MEND =
  'let the sandbox have no interface but loopback, or no route but to the sidecar (`sallyport run`, an `internal` network)'

/** Judges the routes by what the other probes found. */
export function judgeRoutes(around: Surroundings, others: readonly Finding[]): Finding[] {
  const routes = defaultRoutes()
  const { interfaces } = around
  if (routes.length === 0 && interfaces.length === 0)
    return [ok('interfaces and routes', 'there is loopback alone', 'no way out')]
  const seen = interfaces.length === 0 ? 'no address' : `addresses on ${interfaces.join(' ')}`
  if (routes.length === 0)
    return [ok('interfaces and routes', `${seen}, no default route`, 'its own network alone')]
  const tried = `the default route by ${[...new Set(routes)].join(' ')}`
  const elsewhere = others.filter(({ check }) => ELSEWHERE.includes(check))
  if (elsewhere.some(({ status }) => status === 'fail'))
    return [fail(tried, 'packets leave by it', 'a way out around the sidecar', MEND)]
  if (elsewhere.some(({ status }) => status === 'warn'))
    return [
      warn(
        tried,
        'nothing was accepted, not all was dropped',
        'a filter alone stands before it',
        MEND,
      ),
    ]
  return [ok(tried, 'packets are dropped by a filter', 'no way out as long as the filter stands')]
}

/** The interfaces other than loopback that a default route leads to. */
function defaultRoutes(): string[] {
  const four = textOf('/proc/net/route')
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [name = '', target, , flags = '0'] = line.trim().split(/\s+/)
      const isRefused = (parseInt(flags, 16) & REJECT) !== 0
      return target === '00000000' && !isRefused && name !== 'lo' ? [name] : []
    })
  const six = textOf('/proc/net/ipv6_route')
    .split('\n')
    .flatMap((line) => {
      const [target = '', bits, , , , , , , flags = '0', name = ''] = line.trim().split(/\s+/)
      const isRefused = (parseInt(flags, 16) & REJECT) !== 0
      return /^0{32}$/.test(target) && bits === '00' && !isRefused && name !== 'lo' ? [name] : []
    })
  return [...four, ...six]
}
