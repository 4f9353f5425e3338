// A task proved by its workload: a JWT of an issuer whose keys are known, an X.509-SVID on the proxy listener. Each way
// with what it refuses, and two identities at once.

import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'

import { exportJWK, SignJWT } from 'jose'
import t from 'tap'

import { makePki } from '../fixtures/pki.ts'
import { ruleSet, scenario, startSecure, type Scenario } from '../fixtures/scenario.ts'
import { api, getAs, makeTask, revoke, taskDefinition } from '../fixtures/tasks.ts'
import { startHttp } from '../fixtures/upstreams.ts'

const LOOPBACK = 'addresses: [127.0.0.0/8]'
const ONE = 'spiffe://acme/agent/one'
const TWO = 'spiffe://acme/agent/two'

interface Issuer {
  readonly key: KeyObject
  readonly jwks: string
}

async function makeIssuer(kid: string): Promise<Issuer> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: 'ES256' }
  return { key: privateKey, jwks: JSON.stringify({ keys: [jwk] }) }
}

function sign(
  issuer: Issuer,
  kid: string,
  subject: string,
  changes: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    sub: subject,
    aud: 'sallyport',
    iss: 'https://issuer.test',
    exp: now + 300,
    ...changes,
  }
  return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid }).sign(issuer.key)
}

const bearer = (token: string): { login: string } => ({
  login: `Proxy-Authorization: Bearer ${token}`,
})
const basic = (token: string): { login: string } => ({
  login: `Proxy-Authorization: Basic ${Buffer.from(`jwt:${token}`).toString('base64')}`,
})

void t.test('a task is proved by its workload', async (t) => {
  const up = await startHttp({ handler: () => ({ body: 'ok' }) })
  const sec = await startSecure(['sec.test'], () => ({ body: 'ok' }))
  t.teardown(() => Promise.all([up.close(), sec.close()]))
  const url = `http://up.test:${up.port}/`
  const rules = ruleSet(
    `id: up, allow: 'http://up.test:${up.port}', ${LOOPBACK}`,
    `id: sec, allow: 'https://sec.test:${sec.port}', ${LOOPBACK}`,
  )
  const first = await makeIssuer('first')
  const second = await makeIssuer('second')
  const base = { hosts: ['up.test', 'sec.test'], rules, expires: null }
  const jwt = {
    ...base,
    files: { 'jwks.json': first.jwks },
    config:
      'identity: { token: true, jwt: { issuer: https://issuer.test, audience: sallyport, jwks: jwks.json } }\n',
  }

  scenario(t, 'R04: by a JWT, whose subject maps to the task', jwt, async (cx, t) => {
    const one = await makeTask(cx, { identity: { subject: ONE } })
    const two = await makeTask(cx, { identity: { subject: TWO } })
    const token = await sign(first, 'first', ONE)
    cx.guard('JWT', token)
    t.match(await getAs(cx, bearer(token), url), /^HTTP\/1\.1 200/)
    t.match(await getAs(cx, basic(token), url), /^HTTP\/1\.1 200/, 'as most clients can send it')
    await cx.record(({ sallyport }) => sallyport.task?.id === one.id)
    const refused: Record<string, Promise<string>> = {
      'nobody has this subject': sign(first, 'first', 'spiffe://acme/agent/three'),
      'another audience': sign(first, 'first', ONE, { aud: 'other' }),
      'another issuer': sign(first, 'first', ONE, { iss: 'https://evil.test' }),
      'it is past its end': sign(first, 'first', ONE, { exp: Math.floor(Date.now() / 1000) - 60 }),
      'another key': sign(second, 'first', ONE),
    }
    for (const [why, made] of Object.entries(refused))
      t.match(
        await getAs(cx, bearer(await made), url),
        /^HTTP\/1\.1 403 Sallyport: identity-unknown/,
        why,
      )
    t.notOk(
      cx.terminal().some(({ sallyport }) => sallyport.task?.id === two.id),
      'nobody was the other',
    )
    const taken = await api(cx, 'POST', '/v1/tasks', taskDefinition({ identity: { subject: ONE } }))
    t.match(taken, { status: 409, body: { field: '/identity/subject' } })
    await revoke(cx, one.id)
    t.match(
      await getAs(cx, bearer(token), url),
      /^HTTP\/1\.1 403 Sallyport: identity-unknown/,
      'gone with its task',
    )
  })

  scenario(t, 'the keys of an issuer rotate', jwt, async (cx, t) => {
    await makeTask(cx, { identity: { subject: ONE } })
    t.match(await getAs(cx, bearer(await sign(first, 'first', ONE)), url), /^HTTP\/1\.1 200/)
    writeFileSync(`${cx.directory}/next`, second.jwks)
    renameSync(`${cx.directory}/next`, `${cx.directory}/jwks.json`)
    const token = await sign(second, 'second', ONE)
    let answer = ''
    // Keys are not fetched anew more often than every ten seconds, whatever a client sends.
    for (let tries = 0; tries < 24 && !answer.startsWith('HTTP/1.1 200'); tries += 1) {
      answer = await getAs(cx, bearer(token), url)
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    t.match(answer, /^HTTP\/1\.1 200/, 'the new key is taken')
    t.match(
      await getAs(cx, bearer(await sign(first, 'first', ONE)), url),
      /^HTTP\/1\.1 403 Sallyport: identity-unknown/,
      'and the old one is not',
    )
  })

  const workloads = makePki()
  const mtls = {
    ...base,
    files: { 'bundle.pem': workloads.caPem },
    config: 'identity: { mtls: { ca: bundle.pem } }\n',
  }
  const curl = (
    cx: Scenario,
    subject: string,
    ...words: string[]
  ): ReturnType<Scenario['client']> => {
    const { certPem, keyPem } = workloads.issue({ uris: [subject], usage: 'clientAuth' })
    const files = [
      '--proxy-cert',
      cx.file('svid.crt', certPem),
      '--proxy-key',
      cx.file('svid.key', keyPem),
    ]
    const proxy = [
      '--proxy',
      `https://127.0.0.1:${cx.proxyPort}`,
      '--proxy-cacert',
      `${cx.directory}/certs/ca.crt`,
    ]
    return cx.client('curl', [
      '-sS',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code} %{http_connect}',
      ...proxy,
      ...files,
      ...words,
    ])
  }

  scenario(t, 'R04: by a certificate on the proxy listener', mtls, async (cx, t) => {
    const one = await makeTask(cx, { identity: { subject: ONE } })
    const two = await makeTask(cx, { identity: { subject: TWO } })
    t.equal((await curl(cx, ONE, url)).stdout, '200 000')
    const anchor = cx.file('one.crt', one.caPem)
    t.equal(
      (await curl(cx, ONE, '--cacert', anchor, `https://sec.test:${sec.port}/`)).stdout,
      '200 200',
    )
    await cx.record(
      ({ sallyport, event }) => sallyport.task?.id === one.id && event.reason === 'allowed',
    )
    t.equal((await curl(cx, 'spiffe://acme/agent/three', url)).stdout, '403 000', 'nobody’s')

    const stolen = `${two.id}:${two.token}`
    t.equal(
      (await curl(cx, ONE, '--proxy-user', stolen, url)).stdout,
      '403 000',
      'two identities at once',
    )
    await cx.record(({ event }) => event.reason === 'identity-shared')
    const alert = cx.records().find(({ event }) => event.action === 'identity-shared')
    t.match(
      alert?.sallyport,
      { task: { id: two.id }, detail: { seen: ONE, bound: TWO } },
      'R03: both are named',
    )
    t.equal((await curl(cx, TWO, '--proxy-user', stolen, url)).stdout, '200 000', 'its own')
  })

  scenario(t, 'a subject needs somebody who proves it', base, async (cx, t) => {
    const { status, body } = await api(
      cx,
      'POST',
      '/v1/tasks',
      taskDefinition({ identity: { subject: ONE } }),
    )
    t.match({ status, body }, { status: 400, body: { field: '/identity/subject' } })
  })

  scenario(
    t,
    'where tokens are switched off nobody is given one',
    { ...jwt, config: jwt.config.replace('token: true', 'token: false') },
    async (cx, t) => {
      const answer = await api(cx, 'POST', '/v1/tasks', taskDefinition())
      t.match(answer, { status: 400, body: { field: '/identity' } })
      const { status, body } = await api(
        cx,
        'POST',
        '/v1/tasks',
        taskDefinition({ identity: { subject: ONE } }),
      )
      t.equal(status, 201)
      t.notHas(body, { token: String })
      t.match(await getAs(cx, bearer(await sign(first, 'first', ONE)), url), /^HTTP\/1\.1 200/)
    },
  )
})
