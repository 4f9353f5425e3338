import t from 'tap'

import { makeSecret } from '../../../src/credentials/vault.ts'
import { EgressError } from '../../../src/errors.ts'
import { showCertificate } from '../../../src/net/client-certificate.ts'
import { issueCallPermit } from '../../../src/net/issue-call.ts'
import { issueOperatorPermit } from '../../../src/net/issue-operator.ts'
import type { CallPermit } from '../../../src/net/permit.ts'
import { HTTP2_FIRST } from '../../../src/wire/protocol.ts'
import { parseAuthority } from '../../../src/wire/authority.ts'

const endpoint = parseAuthority('api.test:443')
const permit = (certificate?: Parameters<typeof issueCallPermit>[0]['certificate']): CallPermit =>
  issueCallPermit({
    callId: 'c',
    taskId: 't',
    rootId: 't',
    endpoint,
    addresses: { allowed: [], denied: [] },
    tls: true,
    isNameWritten: () => true,
    certificate,
  })

void t.test('a certificate is shown where the permit says, by a client of its own', (t) => {
  const both = { protocols: HTTP2_FIRST }
  const parts = { certificate: 'CERT', key: 'KEY' }
  const [one, other] = [makeSecret('c', '', parts), makeSecret('c', '', parts)]
  const shown = showCertificate(permit(one), both)
  t.match(shown, { certificate: { certPem: 'CERT', keyPem: 'KEY' }, protocols: HTTP2_FIRST })
  t.equal(showCertificate(permit(one), both), shown, 'one context and its sessions for all calls')
  t.not(showCertificate(permit(other), both), shown, 'each state of the credential has its own')
  t.match(showCertificate(permit(one), undefined), { protocols: ['http/1.1'] })
  t.equal(showCertificate(permit(), both), both)
  t.equal(showCertificate(permit(), undefined), undefined)
  const operators = issueOperatorPermit({ purpose: 'sink', endpoint, tls: true })
  t.equal(showCertificate(operators, both), both)
  t.throws(() => showCertificate(permit(makeSecret('c', 'no PEM')), both), EgressError)
  t.end()
})
