// Variables that look like real secrets: those that hold a credential outside, and those whose names say so and whose values
// are no placeholders. Their values are never shown. Called by `inside.ts`.

import { reporterFor, type Finding } from '../finding.ts'
import type { Probe } from './probe.ts'
import type { Surroundings } from './surroundings.ts'

const { ok, warn, fail } = reporterFor('environment')

const SECRET_NAME = /(?:^|_)(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?|PAT)$/i
// A placeholder of the default shape.
const PLACEHOLDER = /^sallyport_/
const VALUE_CHARACTERS_MIN = 8
const MEND =
  'start the sandbox from an empty environment and `sallyport env`, and give the secret to the sidecar as a credential'

/** Looks at each variable. */
export const probeEnvironment: Probe = (around) => Promise.resolve(lookAtAll(around))

function lookAtAll({ environment, files }: Surroundings): Finding[] {
  const findings = Object.entries(environment).flatMap(([name, value = '']) => {
    if (value.length < VALUE_CHARACTERS_MIN || PLACEHOLDER.test(value)) return []
    const prefix = files.placeholders.get(name)
    if (prefix !== undefined && prefix !== '' && value.startsWith(prefix)) return []
    const tried = `the variable ${name}`
    if (files.secretVariables.includes(name))
      return [
        fail(tried, 'holds no placeholder', 'the source of a credential is in the sandbox', MEND),
      ]
    return SECRET_NAME.test(name)
      ? [warn(tried, 'holds what is no placeholder', 'perhaps a secret', MEND)]
      : []
  })
  return findings.length > 0
    ? findings
    : [ok('the variables', 'none looks like a secret', 'nothing to take along')]
}
