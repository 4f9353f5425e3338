import t from 'tap'

import {
  completePlaceholders,
  placeholderFault,
  placeholderSchema,
} from '../../../../src/config/credentials/placeholder-schema.ts'
import { JWT_BEGINNING } from '../../../../src/credentials/placeholder.ts'

const isRead = (written: object): boolean => placeholderSchema.safeParse(written).success

void t.test(
  'a placeholder has as many bits beyond its prefix as 16 letters and digits, whatever they are',
  (t) => {
    for (const [alphabet, atLeast] of [
      ['alphanumeric', 16],
      ['lower', 19],
      ['upper', 19],
      ['base32', 20],
      ['hex', 24],
      ['digits', 29],
    ] as const) {
      t.ok(isRead({ alphabet, prefix: 'key-', length: 4 + atLeast }), alphabet)
      t.notOk(isRead({ alphabet, prefix: 'key-', length: 3 + atLeast }), alphabet)
      t.notOk(isRead({ parts: { key: { alphabet, length: atLeast - 1 } } }), alphabet)
    }
    t.notOk(isRead({ alphabet: 'emoji' }))
    t.notOk(isRead({ shape: 'jwt', length: 40 }), 'its length is what it is')
    t.notOk(isRead({ shape: 'pem' }))
    t.ok(isRead({ shape: 'jwt', env: 'ID_TOKEN' }))
    t.end()
  },
)

void t.test('what is not written is made from the name, twice as long as it has to be', (t) => {
  t.strictSame(completePlaceholders('a-b', 'bearer', {}), {
    placeholder: { env: 'A_B_TOKEN', prefix: 'sallyport_a-b_', length: 46 },
  })
  t.strictSame(completePlaceholders('a', 'bearer', { alphabet: 'hex', prefix: 'x' }), {
    placeholder: { env: 'A_TOKEN', prefix: 'x', length: 49, alphabet: 'hex' },
  })
  t.strictSame(completePlaceholders('a', 'bearer', { shape: 'jwt' }), {
    placeholder: { env: 'A_TOKEN', prefix: JWT_BEGINNING, length: 0, shape: 'jwt' },
  })
  t.end()
})

void t.test(
  'a kind whose clients need several texts has one a part, each of the shape they check',
  (t) => {
    const { placeholder, otherPlaceholders } = completePlaceholders('aws', 'sigv4', {
      parts: { sessionToken: { env: 'OTHER_TOKEN', length: 128 } },
    })
    t.strictSame(
      [placeholder, ...(otherPlaceholders ?? [])],
      [
        {
          env: 'AWS_ACCESS_KEY_ID',
          prefix: 'AKIA',
          length: 20,
          alphabet: 'base32',
          part: 'accessKeyId',
        },
        { env: 'AWS_SECRET_ACCESS_KEY', prefix: 'sallyport', length: 40, part: 'secretAccessKey' },
        { env: 'OTHER_TOKEN', prefix: 'sallyport', length: 128, part: 'sessionToken' },
      ],
    )
    t.equal(placeholderFault('sigv4', { parts: { sessionToken: { env: 'X' } } }), undefined)
    t.match(placeholderFault('sigv4', { parts: { token: {} } }), { path: ['parts', 'token'] })
    t.match(placeholderFault('sigv4', { env: 'X' }), { path: ['env'] })
    t.match(placeholderFault('bearer', { parts: {} }), { path: ['parts'] })
    t.equal(placeholderFault('bearer', { env: 'X' }), undefined)
    t.end()
  },
)
