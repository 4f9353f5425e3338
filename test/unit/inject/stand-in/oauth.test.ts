// What an SDK that asks a token endpoint is told by the sidecar itself, read by a real OAuth client.

import * as oauth from 'oauth4webapi'
import t from 'tap'

import { answerTokenRequest } from '../../../../src/inject/stand-in/oauth.ts'

const NOW = 1_700_000_000_000
const as = { issuer: 'https://auth.test', token_endpoint: 'https://auth.test/token' }
const client = { client_id: 'sdk' }

const customFetch = async (
  _: string,
  {
    method,
    headers,
    body,
  }: { method: string; headers: Record<string, string>; body: URLSearchParams },
): Promise<Response> => {
  const answer = answerTokenRequest({
    method,
    headers: Object.entries(headers).flat(),
    body: Buffer.from(body.toString()),
    placeholder: 'sallyport_api_x',
    expiresAt: NOW + 90_000_500,
    now: NOW,
  })
  return new Response(String(answer.body), {
    status: answer.status,
    headers: { 'content-type': answer.headers[1] ?? '' },
  })
}

void t.test('a client of OAuth takes the answer for a token', async (t) => {
  const options = { [oauth.customFetch]: customFetch }
  const auth = oauth.ClientSecretBasic('whatever')
  const given = await oauth.processClientCredentialsResponse(
    as,
    client,
    await oauth.clientCredentialsGrantRequest(as, client, auth, {}, options),
  )
  t.strictSame(
    { ...given },
    { access_token: 'sallyport_api_x', token_type: 'bearer', expires_in: 3600 },
  )
  const refreshed = await oauth.processRefreshTokenResponse(
    as,
    client,
    await oauth.refreshTokenGrantRequest(as, client, auth, 'old', options),
  )
  t.equal(refreshed.access_token, 'sallyport_api_x')
  t.notOk(refreshed.refresh_token)
  const grant = 'urn:ietf:params:oauth:grant-type:token-exchange'
  const exchanged = await oauth.processGenericTokenEndpointResponse(
    as,
    client,
    await oauth.genericTokenEndpointRequest(as, client, auth, grant, {}, options),
  )
  t.equal(exchanged['issued_token_type'], 'urn:ietf:params:oauth:token-type:access_token')
})

void t.test('what is no request for a token is none', (t) => {
  const good = {
    method: 'POST',
    headers: ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-8'],
    body: Buffer.from('grant_type=client_credentials'),
    placeholder: 'sallyport_api_x',
    expiresAt: NOW + 1500,
    now: NOW,
  }
  t.match(
    answerTokenRequest(good),
    { status: 200, body: /"expires_in":1\}/ },
    'no longer than the task',
  )
  const bad = [
    { method: 'GET' },
    { headers: ['Content-Type', 'application/json'] },
    { headers: [] },
    { body: Buffer.from('') },
    { body: Buffer.from('grant_type=a&grant_type=b') },
    { now: NOW + 1500 },
  ]
  for (const change of bad) {
    const { status, body } = answerTokenRequest({ ...good, ...change })
    t.ok(status >= 400, JSON.stringify(change))
    t.notMatch(body, /sallyport_api_x/)
  }
  t.end()
})
