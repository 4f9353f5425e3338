// `sallyport doctor --inside` finds each hole that is opened on purpose, by itself, and passes when it is closed. Nothing leaves
// the namespaces of the test. Servers elsewhere: `doctor-elsewhere.test.ts`.

import t from 'tap'

import type { DoctorOptions } from '../fixtures/namespaces.ts'
import { findsOnly, passes, sealed, TARGETS } from '../fixtures/sealed.ts'

/** One hole, and how it is named. */
interface Hole {
  readonly title: string
  /** What is started beside the sandbox: words of `doctor.child.ts`; a path is below the directory of the test. */
  readonly serves?: readonly [kind: string, where: string, port?: string]
  readonly options?: DoctorOptions
  readonly named: RegExp
}

const HOLES: readonly Hole[] = [
  {
    title: 'R45: a unix socket of an engine that is mounted into the sandbox is found',
    serves: ['unix', 'docker.sock'],
    options: {
      mounts: ['touch /run/docker.sock', 'mount --bind /mnt/hole/docker.sock /run/docker.sock'],
    },
    named: /^unix: the unix socket \/run\/docker\.sock: accepted/,
  },
  {
    title: 'R45: an abstract socket of a process outside is found',
    serves: ['abstract', 'sallyport-hole'],
    named: /^unix: the abstract socket @sallyport-hole: accepted/,
  },
  {
    title: 'R45: an abstract socket that takes datagrams to a process outside is found',
    serves: ['datagrams', 'sallyport-datagrams'],
    named: /^unix: the abstract socket @sallyport-datagrams: takes datagrams or packets/,
  },
  {
    title: "R44: the CA's key that can be read is found",
    options: {
      mounts: [
        'mkdir -p /mnt/work/state',
        'touch /mnt/work/state/ca.key',
        'mount --bind /mnt/hole/state/ca.key /mnt/work/state/ca.key',
        'mount -o bind,remount,ro /mnt/work/state/ca.key',
      ],
      cwd: '/mnt/work',
    },
    named: /^files: \/mnt\/work\/state(\/ca\.key: can be read|: 1 entries are seen)/,
  },
  {
    title: 'R45: a capability that is left is found',
    options: { keeps: ['net_raw'] },
    named: /^capabilities: the capability CAP_NET_RAW: held|^raw: a socket of the kind .*: opened/,
  },
  {
    title: 'R45: a DNS server on loopback that is not the sidecar is found',
    serves: ['dns', '127.0.0.1'],
    named: /^dns: DNS over UDP to 127\.0\.0\.1: answered NOERROR 192\.0\.2\.7/,
  },
  {
    title: 'R45: a listener on loopback of a process outside is found',
    serves: ['tcp', '127.0.0.1', '7777'],
    named: /^loopback: the listener at 127\.0\.0\.1, port 7777: accepted/,
  },
]

sealed(t, 'each hole is found by itself', {}, async (sandbox, t) => {
  for (const { title, serves, options, named } of HOLES)
    await t.test(title, async (t) => {
      const [kind = '', where = '', port = ''] = serves ?? []
      const stop =
        serves && (await sandbox.serve(kind, kind === 'unix' ? sandbox.at(where) : where, port))
      await findsOnly(sandbox, t, named, options)
      await stop?.()
    })
  await t.test('R45: with all of them closed again nothing is found', (t) => passes(sandbox, t))
  await t.test('R44: an installation that lies in the sandbox is found, all of it', async (t) => {
    const mounts = ['mkdir /mnt/work', 'mount --rbind /mnt/hole /mnt/work']
    const { failed } = await sandbox.doctor({ targets: TARGETS, mounts, cwd: '/mnt/work' })
    for (const place of ['state/ca.key', 'state', 'journal', 'sallyport.yaml', 'rules'])
      t.ok(
        failed.some((one) => one.startsWith(`files: /mnt/work/${place}: `)),
        `${place} is named`,
      )
    t.ok(
      failed.some((one) =>
        one.startsWith('unix: the unix socket /mnt/work/state/control.sock: the control API'),
      ),
      'I6: the control socket is named',
    )
  })
})
