// Holds the saved searches of deploy/ to the shape of records: every field they name is a member of `RecordBody`, every
// action and detail is one that the program writes. And to each other: both tools have the same ones.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import t from 'tap'
import ts from 'typescript'

const BODY = 'src/record/body.ts'
const DEPTH_MAX = 8

const source = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(path.join('src', name), 'utf8'))
  .join('\n')

/** Every path that a record may have, `event.action`, …, as the compiler sees its type. */
function recordFields(): Set<string> {
  const program = ts.createProgram([BODY], {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    allowImportingTsExtensions: true,
  })
  const checker = program.getTypeChecker()
  const file = program.getSourceFile(BODY)
  const declared = file?.statements.find(
    (one): one is ts.InterfaceDeclaration =>
      ts.isInterfaceDeclaration(one) && one.name.text === 'RecordBody',
  )
  const fields = new Set<string>()
  const walk = (type: ts.Type, at: string, depth: number): void => {
    for (const part of type.isUnion() ? type.types : [type]) {
      if ((part.flags & ts.TypeFlags.Object) === 0 || depth > DEPTH_MAX) continue
      const item = checker.isArrayType(part)
        ? checker.getIndexTypeOfType(part, ts.IndexKind.Number)
        : undefined
      if (item) walk(item, at, depth + 1)
      else if (!checker.isTupleType(part))
        for (const property of checker.getPropertiesOfType(part)) {
          const name = at === '' ? property.name : `${at}.${property.name}`
          fields.add(name)
          walk(checker.getTypeOfSymbol(property), name, depth + 1)
        }
    }
  }
  if (declared) walk(checker.getTypeAtLocation(declared), '', 0)
  return fields
}

const FIELDS = recordFields()
const DETAIL = 'sallyport.detail.'

function isField(name: string): boolean {
  if (FIELDS.has(name)) return true
  // What detail has, each event says for itself; the program must at least know the word.
  return name.startsWith(DETAIL) && new RegExp(`\\b${name.slice(DETAIL.length)}\\b`).test(source)
}

interface SavedObject {
  readonly id: string
  readonly type: string
  readonly attributes: {
    readonly title: string
    readonly columns?: readonly string[]
    readonly sort?: readonly (readonly [string, string])[]
    readonly kibanaSavedObjectMeta?: { readonly searchSourceJSON: string }
  }
  readonly references: readonly {
    readonly id: string
    readonly type: string
    readonly name: string
  }[]
}

const saved: SavedObject[] = readFileSync('deploy/kibana/sallyport.ndjson', 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line))
const searches = saved.filter(({ type }) => type === 'search')

/** Stanzas of a Splunk configuration file: keys by title. */
function stanzasOf(file: string): Map<string, Map<string, string>> {
  const stanzas = new Map<string, Map<string, string>>()
  let current: Map<string, string> | undefined
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const title = /^\[(.+)\]$/.exec(line)?.[1]
    if (title !== undefined) stanzas.set(title, (current = new Map()))
    const [, key, value] = /^(\w[\w.]*) = (.+)$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) current?.set(key, value)
  }
  return stanzas
}
const splunk = stanzasOf('deploy/splunk/savedsearches.conf')

/** Words with a dot, or before a comparison, that stand outside quotes: the fields of a query. */
function fieldsIn(query: string): string[] {
  const bare = query.replaceAll(/"[^"]*"/g, '""').replaceAll("'", '')
  const dotted = [...bare.matchAll(/[a-z_@][\w]*(?:\.[a-z_]\w*)+/g)].map(([name]) => name)
  return [...new Set(dotted)]
}

/** The actions that a query asks for. */
function actionsIn(query: string): string[] {
  const lists = [...query.matchAll(/event\.action\s*(?::|=|IN)\s*(\([^)]*\)|"[^"]*")/g)]
  return lists.flatMap(([, list = '']) =>
    [...list.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name),
  )
}

function isAction(name: string): boolean {
  const base = name.replace(/-repeated$/, '')
  return [name, base].some((one) => source.includes(`'${one}'`))
}

void t.test('the fields of a record are known', (t) => {
  for (const name of [
    'event.action',
    'sallyport.chain.seq',
    'sallyport.detection.calls',
    'gen_ai.tool.name',
    'threat.technique.id',
  ])
    t.ok(FIELDS.has(name), name)
  t.notOk(isField('event.nonsense'))
  t.notOk(isField('sallyport.detail.nonsense'))
  t.end()
})

void t.test('every field and action of the searches of Kibana is one that records have', (t) => {
  t.ok(searches.length >= 12)
  for (const { attributes, references } of searches) {
    const { title, columns = [], sort = [], kibanaSavedObjectMeta } = attributes
    const meta: { query: { query: string; language: string }; indexRefName: string } = JSON.parse(
      kibanaSavedObjectMeta?.searchSourceJSON ?? '',
    )
    t.equal(meta.query.language, 'kuery')
    const reference = references.find(({ name }) => name === meta.indexRefName)
    t.ok(
      saved.some(({ id, type }) => id === reference?.id && type === reference?.type),
      'its index',
    )
    for (const name of [...columns, ...sort.map(([by]) => by), ...fieldsIn(meta.query.query)])
      t.ok(name === '@timestamp' || isField(name), `${title}: ${name}`)
    for (const action of actionsIn(meta.query.query)) t.ok(isAction(action), `${title}: ${action}`)
  }
  const ids = saved.map(({ id }) => id)
  t.equal(new Set(ids).size, ids.length)
  t.end()
})

void t.test('every field and action of the searches of Splunk is one that records have', (t) => {
  const macros = stanzasOf('deploy/splunk/macros.conf')
  for (const [title, keys] of splunk) {
    const search = keys.get('search') ?? ''
    t.match(search, /^`sallyport` /, title)
    for (const name of fieldsIn(search)) t.ok(isField(name), `${title}: ${name}`)
    for (const action of actionsIn(search)) t.ok(isAction(action), `${title}: ${action}`)
  }
  t.ok(macros.get('sallyport')?.get('definition'), 'the macro is there')
  t.strictSame(
    [...splunk.keys()],
    searches.map(({ attributes }) => attributes.title),
    'both tools have the same searches',
  )
  t.end()
})
