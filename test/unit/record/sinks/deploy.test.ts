// Holds what operators install beside a receiver to the records: every field that is written has a type that takes it, and
// nothing is named that no record has.

import { readFileSync } from 'node:fs'

import t from 'tap'

import { recordText } from '../../../../src/record/text.ts'
import { isObject } from '../../../fixtures/receiver.ts'
import { SAMPLES } from '../project/samples.ts'

const read = (name: string): string => readFileSync(`deploy/${name}`, 'utf8')

interface Mapping {
  readonly type?: string
  readonly enabled?: boolean
  readonly properties?: Readonly<Record<string, Mapping>>
}

const mappingsOf = (name: string): Mapping & { dynamic: boolean } =>
  JSON.parse(read(name)).template.mappings

const TAKES: Readonly<Record<string, (value: unknown) => boolean>> = {
  keyword: (value) => typeof value === 'string',
  text: (value) => typeof value === 'string',
  long: (value) => Number.isSafeInteger(value),
  boolean: (value) => typeof value === 'boolean',
  date: (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value)),
  ip: (value) => typeof value === 'string' && /^[\d.]+$|:/.test(value),
  flattened: isObject,
  flat_object: isObject,
}

/** Paths at which a value is not what the mapping takes, or has none. */
function* misfits(value: unknown, mapping: Mapping | undefined, path: string): Generator<string> {
  if (mapping === undefined) yield `${path} has no mapping`
  else if (mapping.enabled === false) return
  else if (Array.isArray(value))
    for (const item of value) yield* misfits(item, mapping, `${path}[]`)
  else if (mapping.properties !== undefined) {
    if (!isObject(value)) yield `${path} is no object`
    else
      for (const [name, member] of Object.entries(value))
        yield* misfits(member, mapping.properties[name], `${path}.${name}`)
  } else if (TAKES[mapping.type ?? '']?.(value) !== true) yield `${path} is no ${mapping.type}`
}

for (const name of ['elastic/index-template.json', 'opensearch/index-template.json'])
  void t.test(`${name} has a type for every field of every record`, (t) => {
    const mappings = mappingsOf(name)
    const found = SAMPLES.flatMap((record) => [...misfits(record, mappings, '')])
    t.strictSame([...new Set(found)], [])
    t.equal(mappings.dynamic, false, 'and a field that strangers name makes no new one')
    t.match(
      [...misfits({ sallyport: { mode: 3 }, other: 1 }, mappings, '')],
      ['.sallyport.mode is no keyword', '.other has no mapping'],
      'the test bites',
    )
    t.end()
  })

void t.test('the templates differ in the one type that the two programs name otherwise', (t) => {
  const ours = read('elastic/index-template.json').replace(
    /"type": "flattened",\s*"ignore_above": 1024/,
    '"type": "flat_object"',
  )
  t.strictSame(JSON.parse(ours), JSON.parse(read('opensearch/index-template.json')))
  t.end()
})

const fieldOf = (record: unknown, path: string): unknown =>
  path.split('.').reduce((at, name) => (isObject(at) ? at[name] : undefined), record)

void t.test('splunk/props.conf reads the time of a line, and names fields that there are', (t) => {
  const settings = new Map(
    read('splunk/props.conf')
      .split('\n')
      .filter((line) => /^[A-Z].* = /.test(line))
      .map((line): [string, string] => [
        line.slice(0, line.indexOf(' = ')),
        line.slice(line.indexOf(' = ') + 3),
      ]),
  )
  const line = recordText(SAMPLES[0]!)
  const prefix = new RegExp(settings.get('TIME_PREFIX') ?? '', 'u').exec(line)
  t.equal(prefix?.index, 0)
  const time = line.slice(prefix?.[0].length, (prefix?.[0].length ?? 0) + 24)
  t.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.equal(settings.get('TIME_FORMAT'), '%Y-%m-%dT%H:%M:%S.%3NZ')
  const named = [...settings.values()].flatMap((value) =>
    [...value.matchAll(/"([a-z_]+(?:\.[a-z_]+)+)" AS|'([a-z_.]+)'/g)].map(
      ([, alias, evaluated]) => alias ?? evaluated ?? '',
    ),
  )
  t.ok(named.length > 12)
  for (const path of named)
    t.ok(
      SAMPLES.some((record) => fieldOf(record, path) !== undefined),
      path,
    )
  t.end()
})
