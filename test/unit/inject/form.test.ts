import t from 'tap'

import { dropField, setField } from '../../../src/inject/form.ts'
import { EgressError } from '../../../src/errors.ts'

function set(body: string, value = 'v&l/é=+'): string {
  try {
    const { bytes, stood } = setField(Buffer.from(body), 'api_key', value)
    return `${stood ? 'replaced' : 'added'} ${Buffer.from(bytes).toString()}`
  } catch (error) {
    if (error instanceof EgressError) return error.reason
    throw error
  }
}

function drop(body: string): string {
  return Buffer.from(dropField(Buffer.from(body), 'api_key').bytes).toString()
}

void t.test('R22: a field of a form is set in its place, the rest stays byte for byte', (t) => {
  const written = 'api_key=v%26l%2F%C3%A9%3D%2B'
  t.equal(set(''), `added ${written}`)
  t.equal(set('a=1'), `added a=1&${written}`)
  t.equal(set('a=1&api_key=own&b=%7e+&&c'), `replaced a=1&${written}&b=%7e+&&c`)
  t.equal(set('api_key&a=1'), `replaced ${written}&a=1`)
  t.equal(set('api%5Fkey=own'), `replaced ${written}`, 'a name is what it decodes to')
  t.equal(set('a=api_key=1&xapi_key=2'), `added a=api_key=1&xapi_key=2&${written}`)
  t.equal(set('ä=ö'), `added ä=ö&${written}`)
  t.end()
})

void t.test('R22: what some server reads as the field once more is refused', (t) => {
  for (const twin of [
    'api_key=1&api_key=2',
    'api_key=1&api%5Fkey=2',
    'api%255Fkey=1',
    'API_KEY=1',
    'api.key=1',
    'api+key=1',
    'api-key=1',
    '+api_key=1',
    'api_key[]=1',
    'api_key%5B0%5D=1',
    '[api_key]=1',
    'api_key%00x=1',
    'a=1;api_key=2',
    'api_key=1;api_key=2',
  ]) {
    t.equal(set(twin), 'malformed-body', twin)
    t.equal(drop(`x=1&${twin}&y=2`), 'x=1&y=2', `${twin} is dropped where it is not the call's`)
  }
  t.equal(drop('a=1&b=2'), 'a=1&b=2')
  t.end()
})
