// What is hidden, shown again, frozen and pinned, and in which order.

import t from 'tap'

import { pathOf, planMasks, type MaskWishes } from '../../../src/sandbox/masks.ts'
import { flagsAt, readMounts } from '../../../src/sandbox/mount-table.ts'
import { mountScript } from '../../../src/sandbox/mount-script.ts'

const NOTHING: MaskWishes = {
  hidden: [],
  kept: [],
  frozen: [],
  pinned: [],
  workDir: '/home/u/work',
}
const sealed = (path: string) => ({ path, kind: 'directory', as: 'sealed' }) as const
const directory = (path: string) => ({ path, kind: 'directory' }) as const

function linesOf(wishes: Partial<MaskWishes>): string[] {
  return planMasks({ ...NOTHING, ...wishes }).steps.map((step) => `${step.kind} ${pathOf(step)}`)
}

void t.test(
  'what is within something hidden is not hidden again, what is kept is shown again',
  (t) => {
    t.strictSame(
      linesOf({
        hidden: [sealed('/srv/state/keys'), sealed('/srv/state')],
        kept: [directory('/srv/state/certs')],
        frozen: [{ ...directory('/srv/state/certs'), flags: ['nosuid'] }],
      }),
      ['hide /srv/state', 'restore /srv/state/certs', 'freeze /srv/state/certs', 'seal /srv/state'],
    )
    t.end()
  },
)

void t.test(
  'secrets in the working directory are hidden after it is shown again, never itself',
  (t) => {
    const tmp = { path: '/tmp', kind: 'directory', as: 'shared' } as const
    t.strictSame(linesOf({ hidden: [sealed('/tmp/w/state'), tmp], workDir: '/tmp/w' }), [
      'hide /tmp',
      'restore /tmp/w',
      'hide /tmp/w/state',
      'seal /tmp/w/state',
    ])
    t.strictSame(
      linesOf({ hidden: [tmp], workDir: '/tmp' }),
      [],
      'the working directory stays as it is',
    )
    t.strictSame(linesOf({ hidden: [sealed('/home/u/workshop')] }), [
      'hide /home/u/workshop',
      'seal /home/u/workshop',
    ])
    for (const path of ['/home/u/work', '/home/u', '/'])
      t.throws(() => linesOf({ hidden: [sealed(path)] }), /the working directory .* is in/, path)
    t.throws(
      () => linesOf({ hidden: [sealed('/srv/both')], kept: [directory('/srv/both')] }),
      /holds secrets, and clients need to see it/,
    )
    t.end()
  },
)

void t.test(
  'a directory is pinned before what is in it, once, and not where it is out of sight',
  (t) => {
    t.strictSame(
      linesOf({
        hidden: [sealed('/srv/a/state'), sealed('/opt')],
        pinned: ['/srv/a', '/srv', '/srv/a', '/opt/x', '/srv/a/state'],
      }),
      [
        'pin /srv',
        'hide /opt',
        'pin /srv/a',
        'hide /srv/a/state',
        'seal /srv/a/state',
        'seal /opt',
      ],
    )
    t.end()
  },
)

void t.test('whether a path is hidden is decided by what is nearest', (t) => {
  const { hides } = planMasks({ ...NOTHING, hidden: [sealed('/a')], kept: [directory('/a/b')] })
  t.strictSame(['/a', '/a/x', '/a/b', '/a/b/c', '/ab'].map(hides), [
    true,
    true,
    false,
    false,
    false,
  ])
  t.end()
})

void t.test('what a mount is restricted by is told by the last one above a place', (t) => {
  const mounts = readMounts(
    String.raw`22 1 8:1 / / rw,relatime - ext4 /dev/a rw
23 22 8:2 / /home rw,nosuid,nodev - ext4 /dev/b rw
24 23 8:3 / /home/with\040space rw,noexec - ext4 /dev/c rw
`,
  )
  t.strictSame(flagsAt('/homes', mounts), [])
  t.strictSame(flagsAt('/home/u', mounts), ['nosuid', 'nodev'])
  t.strictSame(flagsAt('/home/with space/x', mounts), ['noexec'])
  t.end()
})

void t.test(
  'a script takes every path as one word, and shows again what was opened before',
  (t) => {
    const awkward = '/srv/it\'s $(touch x) \\ "here"'
    const { steps } = planMasks({
      ...NOTHING,
      hidden: [sealed('/srv')],
      kept: [directory(awkward)],
    })
    const facts = { devices: ['null'], terminal: undefined, frozenProc: [], isResolvHidden: false }
    const { text, opened } = mountScript({ ...facts, steps, resolvFile: undefined })
    t.strictSame(opened, ['/dev/null', awkward])
    t.match(text, String.raw`mkdir -p '/srv/it'\''s $(touch x) \ "here"'`)
    t.match(text, 'mount -c --rbind /proc/self/fd/4 ')
    t.end()
  },
)
