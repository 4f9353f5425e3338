import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import t from 'tap'

import { openTlsClient } from '../../../../src/config/sinks/tls-client.ts'
import { makePki } from '../../../fixtures/pki.ts'

const pki = makePki()

void t.test(
  'what a sink shows and trusts is read from files, and again once they change',
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'sallyport-tls-client-'))
    t.teardown(() => rmSync(dir, { recursive: true, force: true }))
    const at = (name: string): string => join(dir, name)
    const files = { ca: at('ca.pem'), clientCert: at('client.pem'), clientKey: at('client.key') }
    const first = pki.issue({ names: ['one.test'], usage: 'clientAuth' })
    const second = pki.issue({ names: ['two.test'], usage: 'clientAuth' })
    const write = (name: string, text: string): void => {
      writeFileSync(at('new'), text)
      renameSync(at('new'), at(name))
    }
    write('ca.pem', pki.caPem)
    write('client.pem', first.certPem)
    write('client.key', first.keyPem)
    const client = openTlsClient('sinks.soc', files)
    t.strictSame(client(), {
      protocols: [],
      roots: [pki.caPem],
      certificate: { certPem: first.certPem, keyPem: first.keyPem },
    })
    t.equal(client(), client(), 'the same as long as they are')

    write('client.pem', second.certPem)
    t.throws(() => client(), /no pair/, 'half of a renewal is not shown')
    write('client.key', second.keyPem)
    t.equal(client().certificate?.certPem, second.certPem)

    write('ca.pem', 'nothing')
    t.throws(() => client(), /sinks\.soc\.ca.*holds no certificate/)
    rmSync(at('ca.pem'))
    t.throws(() => client(), /a file of its TLS cannot be read/)
    t.throws(() => openTlsClient('sinks.soc', files), /sinks\.soc/)
    t.strictSame(openTlsClient('sinks.soc', {})(), { protocols: [], roots: [] })
  },
)
