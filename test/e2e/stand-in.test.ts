// A token endpoint that the sidecar stands in for: the client asks as ever and gets a placeholder, nobody is dialed, and only the
// task whose rules lead to the credential is answered.

import t from 'tap'

import { scenario, startSecure } from '../fixtures/scenario.ts'
import { makeTask } from '../fixtures/tasks.ts'

const CANARY = 'canary-stand-in-3f9d1c7a20'

void t.test('stand-ins', async (t) => {
  const api = await startSecure(['api.test'], () => ({ body: 'ok' }))
  const idp = await startSecure(['idp.test'], () => ({ body: '{"access_token":"real"}' }))
  t.teardown(() => Promise.all([api.close(), idp.close()]))
  const at = { api: `api.test:${api.port}`, idp: `idp.test:${idp.port}` }
  const token = `https://${at.idp}/token`
  const set = (name: string, credential: string): string => `ruleset: ${name}
owner: a@example.com
rules:
  - { id: api, allow: 'https://${at.api}', ${credential} addresses: [127.0.0.0/8] }
  - { id: idp, allow: 'https://${at.idp}', paths: ['/token'], addresses: [127.0.0.0/8] }
`
  scenario(
    t,
    'R17: a token endpoint is answered with a placeholder for a task that leads there, and the placeholder is worth a token',
    {
      hosts: ['api.test', 'idp.test'],
      expires: null,
      secrets: { API: CANARY },
      config: `credentials:
  api: { source: { env: API }, inject: { bearer: true }, hosts: ['${at.api}'], answers: { oauth: '${token}' } }
`,
      rules: { with: set('with', 'credential: api,'), without: set('without', '') },
    },
    async (cx, t) => {
      const own = await makeTask(cx, { rules: ['with'] })
      const asked = ['-sS', '-d', 'grant_type=client_credentials', token]
      const { stdout, stderr } = await cx.client('curl', asked, { variables: own.env })
      t.equal(idp.seen.length, 0, `nobody is asked: ${stderr}`)
      const { access_token: held, token_type: type, expires_in: seconds } = JSON.parse(stdout)
      t.equal(held, own.env['API_TOKEN'])
      t.equal(type, 'Bearer')
      t.ok(seconds > 0 && seconds <= 1800, 'not beyond the task')
      const used = ['-sS', '-H', `Authorization: Bearer ${held}`, `https://${at.api}/x`]
      t.match(await cx.client('curl', used, { variables: own.env }), { stdout: 'ok' })
      t.ok(api.seen[0]?.rawHeaders.includes(`Bearer ${CANARY}`), 'the secret is what leaves')
      const record = await cx.record(({ sallyport }) => sallyport.credential?.action === 'answered')
      t.equal(record.event.reason, 'allowed')
      t.equal(record.url?.path, '/token')

      await cx.client('curl', ['-sS', `${token}?a=1`], { variables: own.env })
      t.equal(idp.seen.length, 1, 'what is asked in another way goes where the rules let it')
      const other = await makeTask(cx, { rules: ['without'] })
      await cx.client('curl', asked, { variables: other.env })
      t.equal(idp.seen.length, 2, 'a task that leads to no such credential is not answered')
      const aws = [
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        'http://169.254.169.254/latest/meta-data/',
      ]
      t.match(await cx.client('curl', aws, { variables: own.env }), { stdout: '403' })
    },
  )
})
