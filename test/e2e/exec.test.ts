// Credentials that a program prints, seen from the upstream and from what the program was told.

import { readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'

import { ruleSet, scenario, startSecure } from '../fixtures/scenario.ts'
import { makeTask, revoke } from '../fixtures/tasks.ts'

const ADMIN = 'canary-admin-5b20e1f7aa'
const MINTED = 'canary-minted-for-'
const MINT = `#!/bin/sh
echo "canary-said-of-$SALLYPORT_TASK" >&2
echo "$SALLYPORT_TASK $ADMIN" >> "$(dirname "$0")/minted.secret"
printf '{ "value": "${MINTED}%s", "expiresAt": "%s" }' "$SALLYPORT_TASK" "$SALLYPORT_NOT_AFTER"
`
const REVOKE = `#!/bin/sh
cat >> "$(dirname "$0")/revoked.secret"
`

void t.test('a program', async (t) => {
  const api = await startSecure(['api.test'], () => ({ body: 'ok' }))
  t.teardown(() => api.close())
  const at = `api.test:${api.port}`
  const options = {
    hosts: ['api.test'],
    expires: null,
    rules: ruleSet(`id: api, allow: 'https://${at}', credential: one, addresses: [127.0.0.0/8]`),
    config: `credentials:
  one: { source: { exec: { command: [sh, ./mint.secret], revoke: [sh, ./revoke.secret], env: [ADMIN] } }, inject: { bearer: true }, hosts: ['${at}'] }
`,
    files: { 'mint.secret': MINT, 'revoke.secret': REVOKE },
    secrets: { ADMIN },
  }
  scenario(
    t,
    'R17 R20: mints for each task and takes back what it minted',
    options,
    async (cx, t) => {
      const get = (login: string): Promise<string> =>
        cx.raw(
          `GET https://${at}/ HTTP/1.1\r\nHost: ${at}\r\n${login}\r\nConnection: close\r\n\r\n`,
          15_000,
        )
      const sent = (): string => {
        const { rawHeaders = [] } = api.seen.at(-1) ?? {}
        return rawHeaders[rawHeaders.indexOf('Authorization') + 1] ?? ''
      }
      const tasks = [await makeTask(cx), await makeTask(cx)]
      for (const { id, login } of tasks) {
        t.match(await get(login), /^HTTP\/1\.1 200/)
        t.equal(sent(), `Bearer ${MINTED}${id}`)
        cx.guard(`minted for ${id}`, `${MINTED}${id}`)
        cx.guard(`said of ${id}`, `canary-said-of-${id}`)
      }
      for (const { id } of tasks) await revoke(cx, id)
      const read = (name: string): string => readFileSync(path.join(cx.directory, name), 'utf8')
      for (const { id } of tasks) {
        t.match(read('minted.secret'), `${id} ${ADMIN}`)
        t.match(read('revoked.secret'), `${MINTED}${id}`)
      }
    },
  )
})
