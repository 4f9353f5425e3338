import { decodeJwt, decodeProtectedHeader } from 'jose'
import t from 'tap'

import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { ALPHABETS, type PlaceholderDefinition } from '../../../src/credentials/definition.ts'
import { KnownSecrets } from '../../../src/credentials/known-secrets.ts'
import {
  derivePlaceholder,
  JWT_BEGINNING,
  type HeldPlaceholder,
} from '../../../src/credentials/placeholder.ts'
import { CredentialStore } from '../../../src/credentials/store.ts'
import { watchBody } from '../../../src/inject/watch-body.ts'
import type { Body } from '../../../src/wire/body.ts'
import { base64, define, reasonOf, screen, TASK } from '../inject/support.ts'

const KEY = Buffer.alloc(32, 7)
const JWT: PlaceholderDefinition = {
  env: 'ID_TOKEN',
  prefix: JWT_BEGINNING,
  length: 0,
  shape: 'jwt',
}
const PAIR: readonly PlaceholderDefinition[] = [
  { env: 'KEY_ID', prefix: 'AKIA', length: 20, alphabet: 'base32', part: 'accessKeyId' },
  { env: 'SECRET_KEY', prefix: 'sallyport', length: 40, part: 'secretAccessKey' },
]

const [first, second] = PAIR
const PARTED = define({ kind: 'bearer' }, { placeholder: first!, otherPlaceholders: [second!] })

function storeOf(
  placeholder: PlaceholderDefinition,
  known?: KnownSecrets,
  definition = define({ kind: 'bearer' }, { placeholder }),
): CredentialStore {
  return new CredentialStore([definition], {
    environment: {},
    limits: DEFAULT_LIMITS,
    placeholderKey: KEY,
    ...(known && { known }),
  })
}

void t.test('each alphabet is used, and nothing but it', (t) => {
  for (const alphabet of ['alphanumeric', 'lower', 'upper', 'base32', 'hex', 'digits'] as const) {
    const characters = ALPHABETS[alphabet]
    const shape = {
      env: 'X',
      prefix: 'x-',
      length: 302,
      alphabet,
    }
    const text = derivePlaceholder(KEY, TASK, 'github', shape)
    t.equal(text.length, 302)
    const used = new Set(text.slice(2))
    t.strictSame(
      [...used].filter((one) => !characters.includes(one)),
      [],
      alphabet,
    )
    t.ok(used.size > characters.length / 2, alphabet)
  }
  t.end()
})

void t.test(
  'a placeholder in the shape of a JWT is one that can be read, is valid for long, and is the same again',
  (t) => {
    const text = derivePlaceholder(KEY, TASK, 'idp', JWT)
    t.equal(derivePlaceholder(KEY, TASK, 'idp', JWT), text)
    t.not(derivePlaceholder(KEY, 't_other', 'idp', JWT), text)
    t.ok(text.startsWith(JWT_BEGINNING))
    t.strictSame(decodeProtectedHeader(text), { alg: 'HS256', typ: 'JWT' })
    const { exp = 0, iat = Infinity, jti = '' } = decodeJwt(text)
    t.ok(exp > Date.now() / 1000 + 365 * 24 * 3600)
    t.ok(iat < Date.now() / 1000)
    t.match(jti, /^[A-Za-z0-9]{24}$/)
    t.equal(Buffer.from(text.split('.')[2] ?? '', 'base64url').length, 32)
    t.end()
  },
)

void t.test(
  'what stands for the parts of a credential differs, and each is in its variable',
  async (t) => {
    const store = storeOf(first!, undefined, PARTED)
    const id = store.placeholder(TASK, 'bearer', 'accessKeyId')
    const secret = store.placeholder(TASK, 'bearer', 'secretAccessKey')
    t.match(id, /^AKIA[A-Z2-7]{16}$/)
    t.match(secret, /^sallyport[A-Za-z0-9]{31}$/)
    t.equal(store.placeholder(TASK, 'bearer'), id, 'the first is meant where none is named')
    t.strictSame(store.placeholderVariables(TASK), { KEY_ID: id, SECRET_KEY: secret })
    t.strictSame(
      [...store.placeholders(TASK)].map(([text, { part }]) => [text, part]),
      [
        [id, 'accessKeyId'],
        [secret, 'secretAccessKey'],
      ],
    )
    t.equal(
      await reasonOf(() => store.placeholder(TASK, 'bearer', 'sessionToken')),
      'credential-unavailable',
    )
  },
)

/** Forms of a text, and whether a head and a body are looked through for them. */
function formsOf(text: string): string[] {
  const hex = Buffer.from(text).toString('hex')
  return [
    text,
    `a${text}z`,
    hex,
    hex.toUpperCase(),
    ...['', 'a', 'ab'].flatMap((before) => [
      base64(`${before}${text}`),
      Buffer.from(`${before}${text}~~`).toString('base64url'),
    ]),
  ]
}

function isInBody(text: string, placeholders: ReadonlyMap<string, HeldPlaceholder>): boolean {
  let isFound = false
  const bytes = Buffer.from(text)
  const chunks = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
  const body: Body = {
    length: undefined,
    trailers: [],
    read: () => chunks.shift() ?? null,
    wait: () => Promise.resolve(),
    abort: () => undefined,
  }
  const watched = watchBody(body, placeholders, () => (isFound = true))
  while (watched.read());
  return isFound
}

void t.test(
  'R17: any random piece of one is found in heads, bodies and what is written down, in the usual encodings',
  (t) => {
    for (const [definition, textsOf] of [
      [define({ kind: 'bearer' }, { placeholder: JWT }), jwtTexts],
      [PARTED, (texts: readonly string[]) => texts],
    ] as const) {
      const known = new KnownSecrets()
      const store = storeOf(definition.placeholder, known, definition)
      const placeholders = store.placeholders(TASK)
      for (const text of textsOf([...placeholders.keys()])) {
        for (const form of formsOf(text)) {
          const head = { placeholders, headers: ['X-Other', form] }
          t.equal(screen(head), 'placeholder-misused', `head: ${form}`)
          t.equal(screen({ placeholders, query: `a=${form}` }), 'placeholder-misused')
          t.ok(isInBody(form, placeholders), `body: ${form}`)
          t.match(known.maskPlaceholders(form, TASK), /\[secret:placeholder\]/, `record: ${form}`)
        }
      }
      t.strictSame(
        screen({ placeholders, headers: ['X-Other', 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9'] }),
        [],
      )
      t.notOk(isInBody('sallyport AKIA eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9', placeholders))
    }
    t.end()
  },
)

void t.test('one in the shape of a JWT stands rightly at its place', (t) => {
  const placeholders = storeOf(JWT).placeholders(TASK)
  const [text = ''] = placeholders.keys()
  t.strictSame(screen({ placeholders, headers: ['Authorization', `Bearer ${text}`] }), ['bearer'])
  const other = `${text.slice(0, -1)}${text.endsWith('A') ? 'B' : 'A'}`
  t.equal(
    screen({ placeholders, headers: ['Authorization', `Bearer ${other}`] }),
    'placeholder-misused',
  )
  t.end()
})

// Whole, and each of its pieces alone.
function jwtTexts([text = '']: readonly string[]): string[] {
  const [, claims = '', signature = ''] = text.split('.')
  return [text, `${claims}.x`, signature, decodeJwt(text).jti ?? '']
}
