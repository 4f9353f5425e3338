// What an authorization server answers, made for `oauth4webapi` to read, and what that finds wrong with it in our words. Pure; called
// by `oauth-server.ts`.

import { ProviderError, type ProviderAnswer } from '../issuer.ts'

const NO_BODY_STATUS: ReadonlySet<number> = new Set([204, 205])

/** An answer as the library reads it: its status, its type and its body. */
export function responseOf({ status, headers, body }: ProviderAnswer): Response {
  const type = headers['content-type']
  return new Response(NO_BODY_STATUS.has(status) ? null : new Uint8Array(body), {
    status,
    headers: type === undefined ? {} : { 'content-type': type },
  })
}

/** Nobody logs in here: what it says of a person is not looked at, and does not fail a token. */
export async function withoutIdToken(response: Response): Promise<Response> {
  const text = await response.text()
  const { status, headers } = response
  let kept = text
  try {
    const { id_token, ...rest }: Record<string, unknown> = JSON.parse(text)
    if (id_token !== undefined) kept = JSON.stringify(rest)
  } catch {
    // What is no JSON is told by who reads it.
  }
  return new Response(kept, { status, headers })
}

/** Has the library read an answer. @throws ProviderError in our words */
export async function read<Answer>(reading: () => Promise<Answer>): Promise<Answer> {
  const oauth = await import('oauth4webapi')
  try {
    return await reading()
  } catch (error) {
    if (error instanceof oauth.UnsupportedOperationError)
      throw new ProviderError('the token is of a type that is not served', { isLasting: true })
    if (error instanceof oauth.OperationProcessingError)
      throw new ProviderError("the provider's answer is not what it should be")
    throw error
  }
}
