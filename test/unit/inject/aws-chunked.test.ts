// Proves the chunks of S3 by its published examples, torn at every place, and that nothing malformed arrives whole.

import t from 'tap'

import { signAnew } from '../../../src/inject/aws-chunked.ts'
import { proveHash } from '../../../src/inject/aws-payload.ts'
import { EgressError } from '../../../src/errors.ts'
import { NO_BODY, type Body } from '../../../src/wire/body.ts'
import { hashPayload, signChunks, signRequest } from '../../../src/wire/sigv4.ts'
import { CHUNKED, S3_KEYS, type ChunkedVector } from '../../fixtures/sigv4-vectors.ts'

const ZEROS = '0'.repeat(64)

/** A body that comes in pieces, with nothing there between them. */
function inPieces(bytes: Buffer, size: number, length: number | undefined = bytes.length): Body {
  let at = 0
  let isThere = false
  return {
    ...NO_BODY,
    length,
    read: () => {
      isThere = !isThere
      if (!isThere) return undefined
      if (at >= bytes.length) return null
      at += size
      return bytes.subarray(at - size, at)
    },
  }
}

/** What comes out of a body until it ends or breaks off. */
function drain(body: Body): { readonly bytes: Buffer; readonly broken?: unknown } {
  const pieces: Uint8Array[] = []
  try {
    for (;;) {
      const piece = body.read()
      if (piece === null) return { bytes: Buffer.concat(pieces) }
      if (piece !== undefined) pieces.push(piece)
    }
  } catch (broken) {
    return { bytes: Buffer.concat(pieces), broken }
  }
}

function write({ trailer }: ChunkedVector, signatures: readonly string[], last: string): Buffer {
  const [first, second, third] = signatures
  const rest = trailer ? `${trailer.line}\r\nx-amz-trailer-signature:${last}\r\n\r\n` : '\r\n'
  return Buffer.from(
    `10000;chunk-signature=${first}\r\n${'a'.repeat(65_536)}\r\n` +
      `400;chunk-signature=${second}\r\n${'a'.repeat(1024)}\r\n` +
      `0;chunk-signature=${third}\r\n${rest}`,
  )
}

function signerOf({ headers, payloadHash }: ChunkedVector): ReturnType<typeof signChunks> {
  const target = { method: 'PUT', path: '/examplebucket/chunkObject.txt', query: undefined }
  const { key, signature } = signRequest(
    { ...target, headers, payloadHash },
    S3_KEYS.secretAccessKey,
    S3_KEYS,
  )
  return signChunks(key, S3_KEYS, signature)
}

void t.test('R18: chunks get the published signatures, however they are torn', (t) => {
  for (const vector of CHUNKED) {
    const sent = write(vector, [ZEROS, ZEROS, ZEROS], ZEROS)
    const expected = write(vector, vector.chunks, vector.trailer?.signature ?? '')
    for (const size of [1, 2, 7, 1000, 65_536, sent.length])
      for (const length of [sent.length, undefined]) {
        const body = signAnew(inPieces(sent, size, length), signerOf(vector), 'trailer' in vector)
        t.equal(drain(body).bytes.compare(expected), 0, `${vector.payloadHash} by ${size}`)
      }
  }
  t.end()
})

void t.test('what does not keep to the framing breaks off before it is whole', (t) => {
  const [plain, trailing] = CHUNKED
  const head = `5;chunk-signature=${ZEROS}\r\n`
  const last = `0;chunk-signature=${ZEROS}\r\n`
  const malformed: [string, boolean][] = [
    ['', false],
    ['hello', false],
    [`5\r\nhello\r\n${last}\r\n`, false],
    [`${head.replace('5', 'x')}hello\r\n${last}\r\n`, false],
    [`5;chunk-signature=${ZEROS.slice(1)}\r\nhello\r\n${last}\r\n`, false],
    ['0'.repeat(200), false],
    [`${head}hello!\r\n${last}\r\n`, false],
    [`${head}hello\r\n`, false],
    [`${head}hel`, false],
    [`${head}hello\r\n${last}`, false],
    [`${head}hello\r\n${last}\r\nmore`, false],
    [`${head}hello\r\n${last}x-amz-a:b\r\n\r\n`, false],
    [`${head}hello\r\n${last}\r\n`, true],
    [`${head}hello\r\n${last}x-amz-a:b\r\n\r\n`, true],
    [
      `${head}hello\r\n${last}x-amz-trailer-signature:${ZEROS}\r\nx-amz-trailer-signature:${ZEROS}\r\n`,
      true,
    ],
    [`${head}hello\r\n${last}no field\r\nx-amz-trailer-signature:${ZEROS}\r\n\r\n`, true],
    [
      `${head}hello\r\n${last}a:${'b'.repeat(9000)}\r\nx-amz-trailer-signature:${ZEROS}\r\n\r\n`,
      true,
    ],
  ]
  for (const [text, hasTrailers] of malformed)
    for (const size of [1, 4096]) {
      const signer = signerOf((hasTrailers ? trailing : plain)!)
      const { bytes, broken } = drain(
        signAnew(inPieces(Buffer.from(text), size), signer, hasTrailers),
      )
      t.ok(broken instanceof EgressError && broken.reason === 'malformed-body', text.slice(0, 120))
      t.ok(bytes.length < text.length || text === '', 'it is not whole')
    }
  const long = Buffer.from(`100001;chunk-signature=${ZEROS}\r\n`)
  t.match(drain(signAnew(inPieces(long, 10), signerOf(plain!), false)).broken, {
    reason: 'body-too-large',
  })
  t.end()
})

void t.test('a body whose hash is not what was said breaks off before it is whole', (t) => {
  const bytes = Buffer.from('some content')
  const right = hashPayload(bytes)
  for (const length of [bytes.length, undefined]) {
    t.strictSame(drain(proveHash(inPieces(bytes, 5, length), right.toUpperCase())), { bytes })
    const { bytes: given, broken } = drain(
      proveHash(inPieces(bytes, 5, length), hashPayload(Buffer.from('x'))),
    )
    t.match(broken, { reason: 'malformed-body' })
    if (length !== undefined) t.ok(given.length < bytes.length)
  }
  t.strictSame(drain(proveHash(NO_BODY, hashPayload(Buffer.alloc(0)))), { bytes: Buffer.alloc(0) })
  t.throws(() => proveHash(NO_BODY, right), EgressError)
  t.end()
})
