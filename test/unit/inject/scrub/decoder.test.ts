// What is compressed comes out as it was, piece by piece and within its bound; what cannot be read is refused.

import zlib from 'node:zlib'

import t from 'tap'

import { EgressError } from '../../../../src/errors.ts'
import { codingsOf, Decoder, type Coding } from '../../../../src/inject/scrub/decoder.ts'

const TEXT = Buffer.from('as it was, and more of it, '.repeat(5000))
const CODED: readonly [Coding[], Buffer][] = [
  [['gzip'], zlib.gzipSync(TEXT)],
  [['gzip'], Buffer.concat([zlib.gzipSync(TEXT.subarray(0, 9)), zlib.gzipSync(TEXT.subarray(9))])],
  [['deflate'], zlib.deflateSync(TEXT)],
  [['deflate'], zlib.deflateRawSync(TEXT)],
  [['br'], zlib.brotliCompressSync(TEXT)],
  [['zstd'], zlib.zstdCompressSync(TEXT)],
  [['br', 'gzip'], zlib.brotliCompressSync(zlib.gzipSync(TEXT))],
]

const decode = async (
  codings: Coding[],
  pieces: readonly Uint8Array[],
): Promise<Buffer | string> => {
  const decoder = new Decoder(codings, 100)
  const outs: Uint8Array[] = []
  try {
    for (const piece of pieces) for await (const out of decoder.decode(piece)) outs.push(out)
    return Buffer.concat([...outs, ...(await decoder.end())])
  } catch (error) {
    return error instanceof EgressError ? error.reason : String(error)
  } finally {
    decoder.close()
  }
}

void t.test('every coding, in one piece and in small ones', async (t) => {
  for (const [codings, bytes] of CODED) {
    t.strictSame(await decode(codings, [bytes]), TEXT, codings.join())
    const pieces = Array.from({ length: Math.ceil(bytes.length / 61) }, (_, at) =>
      bytes.subarray(at * 61, at * 61 + 61),
    )
    t.strictSame(await decode(codings, pieces), TEXT, `${codings.join()}, cut`)
    t.equal(await decode(codings, [bytes.subarray(0, -1)]), 'response-malformed', 'without its end')
  }
  t.strictSame(await decode(['gzip'], []), Buffer.alloc(0), 'nothing')
  t.equal(await decode(['gzip'], [Buffer.from('no gzip at all')]), 'response-malformed')
  const whole = zlib.gzipSync('whole')
  const padded = Buffer.concat([whole, Buffer.alloc(9)])
  t.strictSame(await decode(['gzip'], [padded]), Buffer.from('whole'), 'padding is nothing')
  const behind = Buffer.concat([whole, Buffer.from('something else')])
  t.equal(await decode(['gzip'], [behind]), 'response-malformed', 'what else follows is refused')
  const hidden = Buffer.concat([padded, Buffer.from('something else')])
  t.equal(await decode(['gzip'], [hidden]), 'response-malformed', 'behind padding too')
})

void t.test('bytes behind the end are refused, whatever way they are cut', async (t) => {
  for (const [codings, bytes] of CODED) {
    const more = Buffer.from('something else')
    const name = codings.join()
    t.equal(await decode(codings, [Buffer.concat([bytes, more])]), 'response-malformed', name)
    t.equal(await decode(codings, [bytes, more]), 'response-malformed', `${name}, apart`)
  }
  const frame = zlib.zstdCompressSync(TEXT)
  t.equal(await decode(['zstd'], [Buffer.concat([frame, frame])]), 'response-malformed')
})

void t.test('one piece makes no more than its bound', async (t) => {
  const bomb = zlib.brotliCompressSync(Buffer.alloc(64 * 1024 * 1024))
  const decoder = new Decoder(['br'], 1e9)
  await t.rejects(async () => {
    for await (const bytes of decoder.decode(bomb)) t.ok(bytes)
  }, /response-malformed/)
  decoder.close()
})

void t.test(
  'decodedRatioMax: more than so many times what came is refused, in one layer or two',
  async (t) => {
    const large = Buffer.alloc(64 * 1024 * 1024)
    for (const [codings, bytes] of [
      [['gzip'], zlib.gzipSync(large)],
      [
        ['br'],
        zlib.brotliCompressSync(large, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
      ],
      [['zstd'], zlib.zstdCompressSync(large)],
      [['gzip', 'gzip'], zlib.gzipSync(zlib.gzipSync(large))],
    ] as const)
      t.equal(await decode([...codings], [bytes]), 'response-malformed', codings.join())
    const small = zlib.gzipSync(Buffer.alloc(1024 * 1024 - 1))
    t.equal((await decode(['gzip'], [small])).length, 1024 * 1024 - 1, 'the first MiB is free')
  },
)

void t.test('codings by the head', async (t) => {
  const of = (...values: string[]): unknown =>
    codingsOf(values.flatMap((value) => ['Content-Encoding', value]))
  t.strictSame(of(), [])
  t.strictSame(of('identity'), [])
  t.strictSame(of('GZip'), ['gzip'])
  t.strictSame(of('gzip, br'), ['br', 'gzip'], 'the outermost first')
  t.strictSame(of('x-gzip', 'zstd'), ['zstd', 'gzip'])
  t.equal(of('compress'), undefined)
  t.equal(of('gzip, gzip, gzip'), undefined, 'too many')
})
