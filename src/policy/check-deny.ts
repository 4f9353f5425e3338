// What is worth a second look in one deny: where it covers more or less than it seems to. Pure; called by `check.ts`.

import { reviewObserve } from './check-allow.ts'
import type { Finding } from './problem.ts'
import type { Destination, Rule } from './rule-set.ts'

/** Looks a deny over. */
export function reviewDeny(rule: Rule): Finding[] {
  return [
    ...rule.destinations.flatMap((destination) => reviewDestination(rule, destination)),
    ...reviewObserve(rule),
  ]
}

function reviewDestination({ ports }: Rule, destination: Destination): Finding[] {
  const { host, text, port, isPortWritten } = destination
  const findings: Finding[] = []
  if (isPortWritten && !ports)
    findings.push({
      severity: 'warning',
      message: `denies every port of \`${text}\`, not only ${port}`,
      hint: `write \`ports: [${port}]\` beside it if only that one is meant`,
      code: 'deny-every-port',
    })
  if (host.kind === 'exact' && host.isAddress)
    findings.push({
      severity: 'warning',
      message: `\`${text}\` is denied as written only: names that resolve to it are not`,
      hint: `write { cidr: ${host.host}/${host.host.includes(':') ? 128 : 32} }`,
      code: 'deny-literal-only',
    })
  return findings
}
