import {
  cpSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'

import * as fc from 'fast-check'
import t from 'tap'

import { callRecord, eventRecord } from '../../../../src/record/ecs.ts'
import { listSegments } from '../../../../src/record/journal/segments.ts'
import type { ChainProblem } from '../../../../src/record/proof/tampering.ts'
import { verifyDirectory } from '../../../../src/record/proof/verify.ts'
import { facts, freshDir, openJournal } from '../support.ts'

const RECORDS = 40

/** A journal of 40 records in several segments; the same for every test. */
async function makeJournal(dir: string): Promise<void> {
  const journal = openJournal(dir, { segmentBytes: 12_000 })
  for (let call = 0; call < RECORDS; call++) {
    await journal.append(callRecord(facts({ id: `C${String(call)}` }), 'call-denied', call * 1000))
  }
  await journal.close()
}

interface Line {
  readonly file: string
  text: string
}

function readAll(dir: string): Line[] {
  return listSegments(dir).flatMap(({ path }) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((text) => ({ file: path, text })),
  )
}

function writeAll(lines: readonly Line[]): void {
  for (const file of new Set(lines.map((line) => line.file))) {
    writeFileSync(
      file,
      lines
        .filter((line) => line.file === file)
        .map(({ text }) => `${text}\n`)
        .join(''),
    )
  }
}

void t.test('verify names what was done to a journal, and passes its untouched twin', async (t) => {
  const genuine = freshDir(t)
  await makeJournal(genuine)
  t.match(verifyDirectory(genuine), {
    ok: true,
    records: RECORDS,
    from: 1,
    head: { seq: RECORDS },
    problems: [],
  })
  t.ok(listSegments(genuine).length >= 4)

  /** Tampers with lines (index 0 holds record 1) and gives the problems. */
  const tampered = (tamper: (lines: Line[]) => Line[] | void): readonly ChainProblem[] => {
    const dir = freshDir(t)
    cpSync(genuine, dir, { recursive: true })
    const lines = readAll(dir)
    writeAll(tamper(lines) ?? lines)
    const report = verifyDirectory(dir)
    t.equal(report.ok, report.problems.length === 0)
    return report.problems
  }
  const edit = (line: Line | undefined, from: string | RegExp, to: string): void => {
    if (line === undefined || !line.text.match(from)) throw new Error('nothing to edit')
    line.text = line.text.replace(from, to)
  }
  const placeOf = (seq: number): { file: string; line: number } => {
    const lines = readAll(genuine)
    const line = lines[seq - 1]
    const inFile = lines.filter(({ file }) => file === line?.file)
    return {
      file: basename(line?.file ?? ''),
      line: inFile.findIndex(({ text }) => text === line?.text) + 1,
    }
  }
  const one = (
    problems: readonly ChainProblem[],
    seq: number,
    what: RegExp,
    at = placeOf(seq),
  ): void => {
    t.match(problems, [{ ...at, seq, what }], `${String(seq)} ${String(what)}`)
    t.equal(problems.length, 1)
  }

  for (const seq of [1, 2, 11, 12, 20, RECORDS - 1]) {
    one(
      tampered((lines) => edit(lines[seq - 1], '"GET"', '"PUT"')),
      seq,
      /edited/,
    )
  }
  one(
    tampered((lines) => edit(lines[9], /"seq":10/, '"seq":99')),
    10,
    /edited/,
  )
  one(
    tampered((lines) => edit(lines[9], /"prev":"../, '"prev":"00')),
    10,
    /edited/,
  )
  one(
    tampered((lines) => edit(lines[RECORDS - 1], /"prev":"../, '"prev":"00')),
    RECORDS - 1,
    /edited/,
  )
  one(
    tampered((lines) => edit(lines[9], /\}\}\}$/, '}}} ')),
    10,
    /edited/,
  )
  one(
    tampered((lines) => edit(lines[9], /.*/, 'gone')),
    10,
    /edited/,
  )
  one(
    tampered((lines) => lines.filter((_, index) => index !== 9)),
    10,
    /record 10 is missing here: dropped/,
    placeOf(9),
  )
  one(
    tampered((lines) => lines.filter((_, index) => index < 9 || index > 12)),
    10,
    /records 10 to 13 are missing/,
    placeOf(9),
  )
  one(
    tampered((lines) => lines.filter((_, index) => index !== 0)),
    1,
    /missing/,
    placeOf(1),
  )
  one(
    tampered((lines) =>
      lines.toSpliced(9, 0, { file: lines[9]?.file ?? '', text: lines[4]?.text ?? '' }),
    ),
    5,
    /inserted/,
    placeOf(10),
  )
  one(
    tampered((lines) => lines.toSpliced(9, 0, { file: lines[9]?.file ?? '', text: '{}' })),
    -1,
    /inserted/,
    placeOf(10),
  )
  one(
    tampered((lines) => {
      // A forged record in the genuine one's place, which stays behind it.
      const text = lines[9]?.text.replace('"GET"', '"PUT"') ?? ''
      return lines.toSpliced(9, 0, { file: lines[9]?.file ?? '', text })
    }),
    10,
    /inserted/,
  )
  one(
    tampered((lines) => {
      const text = lines[9]?.text.replace('"GET"', '"PUT"') ?? ''
      return lines.toSpliced(10, 0, { file: lines[9]?.file ?? '', text })
    }),
    10,
    /inserted/,
    placeOf(11),
  )
  one(
    tampered((lines) => {
      const [a, b] = [lines[9]?.text ?? '', lines[10]?.text ?? '']
      if (lines[9] !== undefined) lines[9].text = b
      if (lines[10] !== undefined) lines[10].text = a
    }),
    11,
    /reordered/,
    placeOf(10),
  )
  one(
    tampered((lines) => {
      const [moved] = lines.splice(9, 1)
      lines.push({ file: lines.at(-1)?.file ?? '', text: moved?.text ?? '' })
    }),
    10,
    /stands at .* instead of here: reordered/,
    placeOf(9),
  )
  t.strictSame(
    tampered(() => undefined),
    [],
    'the untouched twin',
  )
})

void t.test(
  'whole segments: the oldest may be gone, one in the middle may not, and a cut is named',
  async (t) => {
    const dir = freshDir(t)
    await makeJournal(dir)
    const [first, second, third] = listSegments(dir)
    if (first === undefined || second === undefined || third === undefined)
      throw new Error('too few')
    const robbed = freshDir(t)
    cpSync(dir, robbed, { recursive: true })
    rmSync(join(robbed, basename(first.path)))
    t.match(verifyDirectory(robbed).problems, [
      { file: basename(second.path), line: 1, seq: 1, what: /no record says that retention/ },
    ])
    const past = new Date(Date.now() - 90_000)
    utimesSync(first.path, past, past)
    const keeper = openJournal(dir, { segmentBytes: 12_000, retainMs: 60_000 })
    await keeper.deleteExpired()
    await keeper.close()
    t.match(verifyDirectory(dir), {
      ok: true,
      from: second.firstSeq,
      records: RECORDS - second.firstSeq + 2,
    })

    const whole = readFileSync(second.path)
    const lastOfSecond = third.firstSeq - 1
    truncateSync(second.path, whole.lastIndexOf(0x0a, -2) + 1)
    t.match(verifyDirectory(dir).problems, [
      { file: basename(second.path), seq: lastOfSecond, what: /cut off/ },
    ])
    truncateSync(second.path, whole.lastIndexOf(0x0a, -2) - 20)
    t.match(verifyDirectory(dir).problems, [
      { file: basename(second.path), seq: lastOfSecond - 1, what: /cut off/ },
    ])
    truncateSync(second.path, 0)
    t.match(verifyDirectory(dir).problems, [{ seq: second.firstSeq, what: /missing/ }])
    writeFileSync(second.path, whole.subarray(0, -1))
    t.match(verifyDirectory(dir).problems, [
      { file: basename(second.path), seq: lastOfSecond, what: /newline/ },
    ])
    writeFileSync(second.path, whole)
    t.ok(verifyDirectory(dir).ok, 'the untouched twin')

    rmSync(third.path)
    t.match(verifyDirectory(dir).problems, [{ seq: third.firstSeq, what: /a segment is missing/ }])
  },
)

void t.test('a renamed segment, an unfinished end, and no journal at all', async (t) => {
  const dir = freshDir(t)
  t.match(verifyDirectory(join(dir, 'none')), {
    ok: true,
    records: 0,
    head: undefined,
    problems: [],
  })
  await makeJournal(dir)
  const last = listSegments(dir).at(-1)
  const whole = readFileSync(last?.path ?? '')
  writeFileSync(last?.path ?? '', whole.subarray(0, -10))
  t.match(verifyDirectory(dir), {
    ok: true,
    torn: { file: basename(last?.path ?? '') },
    records: RECORDS - 1,
  })
  writeFileSync(last?.path ?? '', whole)
  const first = listSegments(dir)[0]
  renameSync(first?.path ?? '', join(dir, '0000000000.ndjson'))
  t.match(verifyDirectory(dir), { ok: false })
})

void t.test(
  'property: any tampering but at the very end is found, at or before its first place',
  async (t) => {
    const dir = freshDir(t)
    const journal = openJournal(dir)
    for (let event = 0; event < 12; event++) {
      await journal.append(
        eventRecord('rules-loaded', { now: event, message: `m${String(event)}` }),
      )
    }
    await journal.close()
    const path = listSegments(dir)[0]?.path ?? ''
    const genuine = readFileSync(path, 'utf8').split('\n').slice(0, -1)
    const last = genuine.length - 1
    const place = fc.integer({ min: 0, max: last - 1 })
    const tampering = fc.oneof(
      fc.record({
        kind: fc.constant('byte' as const),
        at: place,
        offset: fc.nat(10_000),
        to: fc.integer({ min: 0x20, max: 0x7e }),
      }),
      fc.record({
        kind: fc.constant('drop' as const),
        at: place,
        count: fc.integer({ min: 1, max: 4 }),
      }),
      fc.record({ kind: fc.constant('swap' as const), at: place, other: place }),
      fc.record({ kind: fc.constant('copy' as const), at: place, from: place }),
      fc.record({ kind: fc.constant('move' as const), at: place, to: place }),
    )
    const apply = (
      lines: string[],
      tamper: typeof tampering extends fc.Arbitrary<infer T> ? T : never,
    ): void => {
      const text = lines[tamper.at] ?? ''
      if (tamper.kind === 'byte') {
        const offset = tamper.offset % text.length
        lines[tamper.at] =
          text.slice(0, offset) + String.fromCharCode(tamper.to) + text.slice(offset + 1)
      } else if (tamper.kind === 'drop') {
        lines.splice(tamper.at, Math.min(tamper.count, lines.length - 1 - tamper.at))
      } else if (tamper.kind === 'swap') {
        lines[tamper.at] = lines[tamper.other] ?? ''
        lines[tamper.other] = text
      } else if (tamper.kind === 'copy') lines.splice(tamper.at, 0, lines[tamper.from] ?? '')
      else lines.splice(tamper.to, 0, ...lines.splice(tamper.at, 1))
    }
    fc.assert(
      fc.property(fc.array(tampering, { minLength: 1, maxLength: 3 }), (tamperings) => {
        const lines = [...genuine]
        // The last line stays the last: no chain can show that its end was cut off.
        for (const tamper of tamperings) {
          const places = [
            tamper.at,
            ...('other' in tamper ? [tamper.other] : []),
            ...('to' in tamper && tamper.kind === 'move' ? [tamper.to] : []),
          ]
          if (places.every((index) => index < lines.length - 1)) apply(lines, tamper)
        }
        writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
        const report = verifyDirectory(dir)
        const firstChanged = lines.findIndex((line, index) => line !== genuine[index])
        const isTouched = firstChanged >= 0 || lines.length !== genuine.length
        if (report.ok === isTouched) throw new Error(`ok is ${String(report.ok)}`)
        const first = report.problems[0]
        // Lines count from 1; a problem may be told at the line before the one that shows it. Where neighbours are tampered
        // with in several ways, either may be told first.
        const latest = firstChanged + tamperings.length
        if (first !== undefined && (first.line < firstChanged || first.line > latest)) {
          throw new Error(`changed line ${String(firstChanged + 1)}, told ${JSON.stringify(first)}`)
        }
      }),
      { numRuns: 500 },
    )
    fc.assert(
      fc.property(place, fc.nat(10_000), fc.integer({ min: 0x20, max: 0x7e }), (at, offset, to) => {
        const lines = [...genuine]
        apply(lines, { kind: 'byte', at, offset, to })
        writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
        const first = verifyDirectory(dir).problems[0]
        const seq = lines[at] === genuine[at] ? undefined : at + 1
        if (first?.seq !== seq)
          throw new Error(`edited ${String(seq)}, told ${JSON.stringify(first)}`)
      }),
      { numRuns: 500 },
    )
  },
)
