// Proves that a bundle shows whoever checks it what was changed in it, with or without a manifest that agrees, and that a file
// that means harm does none.

import { createHash, generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import { CheckpointKeys } from '../../../src/record/proof/checkpoint-keys.ts'
import type { CheckpointKey } from '../../../src/record/proof/checkpoint.ts'
import { Checkpoints } from '../../../src/record/proof/checkpoints.ts'
import { callRecord, eventRecord } from '../../../src/record/ecs.ts'
import { CONTROLS, FRAMEWORKS } from '../../../src/record/evidence/control-map.ts'
import { verifyBundle, type BundleReport } from '../../../src/record/evidence/verify-bundle.ts'
import { writeBundle, type BundleOptions } from '../../../src/record/evidence/write-bundle.ts'
import { publicKeyOf } from '../../../src/record/proof/key-announcement.ts'
import { ReceiptSigner } from '../../../src/tasks/receipt.ts'
import { facts, freshDir, memoryLog, openJournal, TASK } from './support.ts'
import { pack, unpack, type TarMember } from '../../fixtures/tar.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const RULES = 'ruleset: github-triage\nrules: []\n'
const VERSION = `sha256:${createHash('sha256').update(RULES).digest('hex')}`
const RULE = { id: 'read-issues', ruleset: 'github-triage', version: VERSION }
const OTHER = { ...TASK, id: 't_other', path: ['t_other'] }
const CHILD = { ...TASK, id: 't_child', path: [TASK.id, 't_child'] }

interface Made {
  readonly dir: string
  readonly bundle: string
  readonly key: CheckpointKey
  readonly options: BundleOptions
}

/** A journal of a task, its child and a stranger, and the bundle of the task. */
async function make(t: Test, isSealed = true): Promise<Made> {
  const dir = freshDir(t)
  const stateDir = join(dir, 'state')
  mkdirSync(stateDir)
  const journal = openJournal(join(dir, 'journal'), { now: () => NOW, segmentBytes: 8000 })
  const keys = new CheckpointKeys(stateDir, NOW)
  const checkpoints = new Checkpoints({
    journal,
    keys,
    limits: DEFAULT_LIMITS,
    now: () => NOW,
    log: memoryLog(),
  })
  const signer = new ReceiptSigner(stateDir)
  const add = (action: string, more: object): Promise<void> =>
    journal.append(eventRecord(action, { now: NOW, ...more }))
  await add('rules-loaded', { detail: { sets: [`github-triage@${VERSION}`] } })
  const definition = { rules: ['github-triage'], params: {}, environment: 'prod' }
  for (const task of [TASK, CHILD, OTHER])
    await add('task-created', { task, detail: { to: 'active', definition } })
  const decision = { ...facts().decision!, rule: RULE }
  for (let call = 0; call < 6; call += 1) {
    const task = [TASK, CHILD, OTHER][call % 3]!
    const denied = call > 3
    await journal.append(
      callRecord(
        facts({ id: `C${call}`, task, decision, ...(denied && { reason: 'path-not-allowed' }) }),
        denied ? 'call-denied' : 'call-ended',
        NOW,
      ),
    )
  }
  const unsigned = {
    task: TASK.id,
    cause: 'revoked',
    actor: 'ann',
    startedAt: '',
    endedAt: '',
    complete: true,
    items: [{ kind: 'child' as const, name: CHILD.id, outcome: 'ended' as const, at: '' }],
  }
  if (isSealed) {
    await add('task-receipt', { task: TASK, detail: { receipt: signer.sign(unsigned) } })
    checkpoints.seal(TASK)
    checkpoints.seal(CHILD)
  }
  await checkpoints.close()
  await journal.close()
  const { kty: _kty, crv: _crv, x, kid } = signer.publicKey
  const options: BundleOptions = {
    journalDir: journal.dir,
    scope: { task: TASK.id },
    frameworks: [],
    out: join(dir, 'bundle.tar'),
    program: '1.2.3',
    rulesOf: (version) => (version === VERSION ? RULES : undefined),
    receiptKeys: [{ kty: 'OKP', crv: 'Ed25519', x, kid }],
    noCheckpoint: undefined,
  }
  await writeBundle(options)
  return { dir, bundle: options.out, key: keys.shown[0]!, options }
}

/** Members with one exchanged, and a manifest that agrees: what whoever tampers would do. */
function forge(
  members: readonly TarMember[],
  name: string,
  change: (text: string) => string,
): Buffer {
  const own = members.find((member) => member.name === name)!
  const text = change(own.bytes.toString())
  if (text === own.bytes.toString()) throw new Error(`nothing is changed in ${name}`)
  const bytes = Buffer.from(text)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return pack(
    members.map((member) => {
      if (member.name === name) return { name, bytes }
      if (member.name !== 'manifest.json') return member
      const manifest = JSON.parse(member.bytes.toString())
      const entry = manifest.members.find((each: { name: string }) => each.name === name)
      Object.assign(entry, { bytes: bytes.length, sha256 })
      return { name: 'manifest.json', bytes: Buffer.from(JSON.stringify(manifest)) }
    }),
  )
}

function checkBytes({ dir, key }: Pick<Made, 'dir' | 'key'>, bytes: Buffer): BundleReport {
  const file = join(dir, 'checked.tar')
  writeFileSync(file, bytes)
  return verifyBundle(file, { keys: [key] })
}

const told = ({ problems }: BundleReport): string[] =>
  problems.map(({ member, what }) => `${member}: ${what}`)

void t.test('a bundle is whole, the same each time, and has its task alone', async (t) => {
  const made = await make(t)
  const tar = readFileSync(made.bundle)
  const report = checkBytes(made, tar)
  t.match(report, { ok: true, keys: 'given', problems: [], notes: [] })
  t.strictSame(
    report.chains.map(({ of, from, isSealed }) => [of, from, isSealed]),
    [
      [TASK.id, 1, true],
      ['t_child', 1, true],
    ],
  )
  await writeBundle(made.options)
  t.ok(readFileSync(made.bundle).equals(tar), 'it is the same file again')
  t.notOk(tar.includes('t_other'), 'another task is not in it')
  t.strictSame(
    readdirSync(made.dir).toSorted(),
    ['bundle.tar', 'checked.tar', 'journal', 'state'],
    'nothing is left beside it',
  )
  const lines = readdirSync(made.options.journalDir)
    .filter((name) => name.endsWith('.ndjson'))
    .toSorted()
    .flatMap((name) => readFileSync(join(made.options.journalDir, name), 'utf8').split('\n'))
  const records = unpack(tar)
    .find(({ name }) => name === 'records.ndjson')!
    .bytes.toString()
  t.ok(
    records
      .trimEnd()
      .split('\n')
      .every((line) => lines.includes(line)),
    'byte for byte',
  )
})

void t.test('every byte of it counts', async (t) => {
  const made = await make(t)
  const tar = readFileSync(made.bundle)
  const members = unpack(tar)
  for (const [index, { name, bytes }] of members.entries()) {
    const unseen: number[] = []
    // A prime, so that every kind of place is met.
    for (let at = 0; at < bytes.length; at += name === 'manifest.json' ? 61 : 307) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1
      const report = checkBytes(made, pack(members.with(index, { name, bytes: changed })))
      const isNamed =
        name === 'manifest.json' ? !report.ok : report.problems.some((each) => each.member === name)
      if (!isNamed) unseen.push(at)
    }
    if (name === 'manifest.json') {
      // What stands in it for people alone follows from nothing.
      const text = bytes.toString()
      const lines = unseen.map((place) => {
        const from = text.lastIndexOf('\n', place) + 1
        return text.slice(from, text.indexOf('\n', from))
      })
      t.strictSame(
        [...new Set(lines)].filter(
          (line) => !/^ *"(?:program|missing)": |^ *[[\]{}],?$/.test(line),
        ),
        [],
      )
    } else t.strictSame(unseen, [], name)
    const gone = checkBytes(made, pack(members.toSpliced(index, 1)))
    t.ok(
      gone.problems.some(({ member }) => member === name),
      `${name} is gone`,
    )
  }
})

void t.test('a manifest that agrees does not help who tampers', async (t) => {
  const made = await make(t)
  const members = unpack(readFileSync(made.bundle))
  const rules = members.find(({ name }) => name.startsWith('rules/'))!.name
  const lines = (change: (lines: string[]) => string[]) => (text: string) =>
    `${change(text.trimEnd().split('\n')).join('\n')}\n`
  const cases: readonly (readonly [string, (text: string) => string, RegExp])[] = [
    ['inventory.json', (text) => text.replaceAll('payments', 'sales'), /^inventory.*follow/],
    ['decisions.ndjson', (text) => text.replace('"deny"', '"allow"'), /^decisions.*follow/],
    ['controls.json', (text) => text.replace('"level": "P"', '"level": "E"'), /^controls.*follow/],
    ['controls.md', (text) => text.replace('| P |', '| E |'), /^controls\.md.*follow/],
    ['receipt.json', (text) => text.replace('"revoked"', '"expired"'), /^receipt.*follow/],
    ['seal.json', (text) => text.replace(/"seq": \d+/, '"seq": 1'), /^seal.*follow/],
    ['checkpoints.ndjson', (text) => text.replace(/"seq":\d+/, '"seq":1'), /^checkp.*follow/],
    [rules, (text) => `${text}# more\n`, /^rules.*not the file that its name says/],
    [
      'keys.json',
      (text) =>
        text.replace(/("signature": ")(.)/, (_, name: string, first: string) =>
          name.concat(first === '-' ? 'A' : '-'),
        ),
      /^keys.*not signed/,
    ],
    ['records.ndjson', (text) => text.replace('path-not-allowed', 'allowed'), /^records/],
    ['records.ndjson', lines((all) => all.toSpliced(2, 1)), /^records.*(?:gone|not its beginning)/],
    ['records.ndjson', lines((all) => [all[1]!, all[0]!, ...all.slice(2)]), /^records.*order/],
    ['records.ndjson', lines((all) => [...all, all.at(-1)!]), /^records.*(?:order|twice)/],
    ['records.ndjson', lines((all) => [...all, '{"event":1}']), /^records.*no record/],
    ['records.ndjson', lines((all) => [...all, 'x']), /^records.*no record/],
    ['README.txt', (text) => text.replace('--key KEY', ''), /^README.*follow/],
    [
      'records.ndjson',
      lines((all) => all.slice(1)),
      /^records.*: records 1 to 1 of .* are not there/,
    ],
    [
      'records.ndjson',
      lines((all) => all.filter((line) => !line.includes('"task":{"id":"t_child"'))),
      /^records.*says that t_child ended with it, and no record of that is there/,
    ],
  ]
  for (const [name, change, expected] of cases) {
    const report = checkBytes(made, forge(members, name, change))
    t.notOk(report.ok, name)
    t.ok(
      told(report).some((text) => expected.test(text)),
      `${name}: ${told(report).join('\n')}`,
    )
  }
})

void t.test('what is made up as a whole does not pass a key that is known', async (t) => {
  const made = await make(t)
  const { privateKey } = generateKeyPairSync('ed25519')
  const stranger = publicKeyOf(privateKey)
  const report = verifyBundle(made.bundle, { keys: [stranger] })
  t.match(told(report), [
    /^keys\.json: none of its keys/,
    /no checkpoint that a given key vouches for covers the records of/,
    /no checkpoint that a given key vouches for covers the records of t_child/,
  ])
  const own = verifyBundle(made.bundle, { keys: [] })
  t.match(own, { ok: true, keys: 'own', notes: [/keys of the bundle alone/] })
})

void t.test('what is not there is said in the manifest and by whoever checks', async (t) => {
  const made = await make(t, false)
  const manifest = await writeBundle({
    ...made.options,
    rulesOf: () => undefined,
    receiptKeys: [],
    noCheckpoint: 'no sidecar was asked',
  })
  const what = manifest!.missing.map((each) => each.what)
  t.strictSame(what, [
    'receipt.json',
    'seal.json',
    `rules ${VERSION}`,
    'tail-unanchored',
    'tail-unanchored',
  ])
  t.match(manifest!.missing.at(-1)!.why, /no checkpoint covers.*no sidecar was asked/)
  t.match(told(verifyBundle(made.bundle, { keys: [made.key] })), [
    /no checkpoint that a given key vouches for/,
    /no checkpoint that a given key vouches for/,
  ])
  const report = verifyBundle(made.bundle, { keys: [] })
  t.ok(report.ok)
  t.ok(report.notes.some((note) => note.startsWith('tail-unanchored')))
  t.equal(await writeBundle({ ...made.options, scope: { task: 't_none' } }), undefined)
})

void t.test(
  'a manifest of another version does not keep what it says from being compared',
  async (t) => {
    const made = await make(t)
    const members = unpack(readFileSync(made.bundle)).map((member) => {
      if (member.name !== 'manifest.json') return member
      const manifest = JSON.parse(member.bytes.toString())
      return {
        name: 'manifest.json',
        bytes: Buffer.from(JSON.stringify({ ...manifest, derivation: 2 })),
      }
    })
    t.match(told(checkBytes(made, pack(members))), [/^manifest\.json: .*cannot be compared/])
  },
)

void t.test('a period is one piece of the chain, also where the clock went back', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(join(dir, 'journal'))
  for (const now of [1000, 2000, 1500, 3000, 4000])
    await journal.append(eventRecord('rules-loaded', { now, detail: { sets: [] } }))
  await journal.close()
  const since = new Date(1800).toISOString()
  const out = join(dir, 'bundle.tar')
  const manifest = await writeBundle({
    journalDir: journal.dir,
    scope: { since, until: new Date(3500).toISOString() },
    frameworks: [],
    out,
    program: '1.2.3',
    rulesOf: () => undefined,
    receiptKeys: [],
    noCheckpoint: undefined,
  })
  t.equal(manifest?.records, 3)
  t.match(verifyBundle(out, { keys: [] }), { ok: true, records: 3 })
})

void t.test('a file that is no bundle, or means harm, is refused', async (t) => {
  const made = await make(t)
  const members = unpack(readFileSync(made.bundle))
  const evil = Buffer.from('evil')
  const refused = (bytes: Buffer, expected: RegExp, title?: string): void => {
    const report = checkBytes(made, bytes)
    t.notOk(report.ok)
    t.ok(
      told(report).some((text) => expected.test(text)),
      title ?? told(report).join('\n'),
    )
  }
  for (const name of ['../evil', '/etc/passwd', 'a/../b', './a', 'rules/\u001b[2J', 'a//b'])
    refused(pack([{ name, bytes: evil }]), /a name that no bundle has/, name)
  for (const type of ['1', '2', '5', 'x', 'L'])
    refused(pack([{ name: 'link', bytes: evil }], type), /no plain file/, type)
  refused(pack([members[0]!, members[0]!]), /is there twice/)
  refused(readFileSync(made.bundle).subarray(0, 4096), /cut off|ends early/)
  refused(Buffer.concat([readFileSync(made.bundle), evil]), /behind the end/)
  refused(evil, /ends early/)
  refused(Buffer.alloc(0), /ends early/)
  refused(pack([{ name: 'manifest.json', bytes: Buffer.from('[[[') }]), /no manifest/)
  refused(pack([...members, { name: 'more.txt', bytes: evil }]), /does not list/)
  const many = Array.from({ length: 10_001 }, (_, at) => ({
    name: `n${at}`,
    bytes: Buffer.alloc(0),
  }))
  refused(pack(many), /too many members/)
  const long = pack([{ name: 'manifest.json', bytes: evil }])
  long.write('77777777777\0', 124)
  refused(long, /damaged/)
  const deep = '['.repeat(100_000)
  refused(
    forge(members, 'records.ndjson', () => `${deep}\n`),
    /no record/,
  )
  const odd = '{"@timestamp":"x","event":{"action":"call-ended"},"sallyport":{"task":1,"call":7}}'
  refused(
    forge(members, 'records.ndjson', () => `${odd}\n`),
    /^records/,
  )
})

void t.test('the control map says what it can, level by level', (t) => {
  const levels = new Set<string>(CONTROLS.map(({ level }) => level))
  t.ok(
    ['E', 'P', 'R', 'E/P', 'R/-'].every((level) => levels.has(level)),
    'not all green',
  )
  t.strictSame(
    new Set(CONTROLS.map(({ framework }) => framework)),
    new Set(Object.keys(FRAMEWORKS)),
  )
  const ids = CONTROLS.flatMap((control) => control.ids)
  for (const prefix of ['ASI', 'NHI'])
    t.strictSame(
      ids.flatMap((id) => new RegExp(`^${prefix}0?(\\d+)`).exec(id)?.[1] ?? []).map(Number),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    )
  t.notOk(
    ids.includes('AML.M0029') || ids.includes('AML.M0030'),
    'nobody is asked, and no data is followed, before a call goes',
  )
  t.ok(ids.includes('AML.T0086') && ids.includes('PR.PS-04') && ids.includes('MANAGE 2.4'))
  t.end()
})

void t.test('what strangers chose moves no cursor where a member is shown', async (t) => {
  const dir = freshDir(t)
  const journal = openJournal(join(dir, 'journal'))
  const hostile = 'x\u001b[31m\u009b31m\u202e<script>\r\n# forged'
  const task = {
    ...TASK,
    id: `t_${hostile}`,
    path: [`t_${hostile}`],
    owner: { name: hostile, team: hostile },
  }
  await journal.append(eventRecord('task-created', { now: 1000, task, detail: { actor: hostile } }))
  const call = facts({
    id: 'C',
    task,
    decision: { ...facts().decision!, rule: { ...RULE, id: hostile } },
  })
  await journal.append(callRecord(call, 'call-ended', 2000))
  await journal.close()
  const out = join(dir, 'bundle.tar')
  await writeBundle({
    journalDir: journal.dir,
    scope: { task: task.id },
    frameworks: [],
    out,
    program: '1.2.3',
    rulesOf: () => undefined,
    receiptKeys: [],
    noCheckpoint: undefined,
  })
  for (const { name, bytes } of unpack(readFileSync(out)))
    for (const line of bytes.toString().split('\n'))
      t.notOk(/[\p{Cc}\p{Cf}]|^# forged/u.test(line), name)
  t.match(verifyBundle(out, { keys: [] }), { ok: true })
})
