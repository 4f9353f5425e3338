// Breaks a push off once its pack is larger than a rule lets it be. Deliberately counts nothing but the pack. Called by
// `understand/git.ts`.

import { EgressError } from '../../errors.ts'
import { overBody, type Body } from '../../wire/body.ts'
import type { Push } from './push.ts'

/**
 * The same bytes, as long as no more than so many of them are the pack; where none is to follow the commands, none may.
 * @param body from its first byte on
 * @throws body-too-large, malformed-body: at once where the length of the body says so, otherwise from `read`
 */
export function limitPack(
  body: Body,
  push: Pick<Push, 'commandBytes' | 'hasPack'>,
  packBytesMax: number,
): Body {
  const bytesMax = push.commandBytes + (push.hasPack ? packBytesMax : 0)
  let bytes = 0
  const tooLarge = (): EgressError =>
    push.hasPack
      ? new EgressError('body-too-large', { part: 'pack', packBytesMax })
      : new EgressError('malformed-body', { part: 'push', why: 'pack without need' })
  if ((body.length ?? 0) > bytesMax) throw tooLarge()
  return overBody(body, () => {
    const chunk = body.read()
    if (!chunk) return chunk
    bytes += chunk.length
    if (bytes <= bytesMax) return chunk
    const cause = tooLarge()
    body.abort(cause)
    throw cause
  })
}
