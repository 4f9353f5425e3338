// R13 from inside a process: what was minted is in its heap while its task has it, and in no snapshot of it once the task is
// over. The value exists as a text nowhere but where the broker has it: the test keeps bytes.

import { randomBytes } from 'node:crypto'
import { getHeapSnapshot } from 'node:v8'

import t from 'tap'

import { KnownSecrets } from '../../../src/credentials/known-secrets.ts'
import { CredentialStore } from '../../../src/credentials/store.ts'
import { Redactor } from '../../../src/inspect/redactor.ts'
import { prepareHead } from '../../../src/inject/prepare.ts'
import { DEFAULT_LIMITS } from '../../../src/limits.ts'
import type { Task } from '../../../src/tasks/task.ts'
import { BEARER, ENDPOINT } from '../inject/support.ts'
import { taskOf } from './lease-support.ts'

const CANARY = Buffer.from(randomBytes(16).toString('hex'))

async function isInHeap(): Promise<boolean> {
  let end = Buffer.alloc(0)
  let isFound = false
  for await (const chunk of getHeapSnapshot()) {
    const bytes = Buffer.concat([end, Buffer.from(chunk)])
    isFound ||= bytes.includes(CANARY)
    end = Buffer.from(bytes.subarray(1 - CANARY.length))
  }
  return isFound
}

void t.test('R13: no snapshot of the heap after its task holds what was minted', async (t) => {
  const known = new KnownSecrets()
  const redactor = new Redactor(known)
  const tasks = new Map<string, Task>([
    ['t_1', taskOf('t_1', { expiresAt: Date.now() + 3_600_000 })],
  ])
  const store = new CredentialStore([BEARER], {
    environment: {},
    limits: DEFAULT_LIMITS,
    placeholderKey: Buffer.alloc(32, 7),
    known,
    issuers: new Map([
      [
        'bearer',
        {
          isStatic: false,
          mint: async () => ({
            // As an answer's text, parsed.
            material: { value: JSON.parse(`["${CANARY.toString('latin1')}"]`)[0] },
            expiresAt: Date.now() + 3_600_000,
            handle: { id: 1 },
          }),
        },
      ],
    ]),
    activeTask: ({ id }) => tasks.get(id),
  })
  const use = async (): Promise<number> => {
    const secret = await store.secretFor(tasks.get('t_1')!, 'bearer')
    const head = prepareHead({
      headers: ['Host', 'api.test'],
      path: '/',
      query: undefined,
      endpoint: ENDPOINT,
      scheme: 'https',
      obligations: { clientAuth: 'drop' },
      addresses: { allowed: [] },
      brokered: [BEARER],
      credential: { definition: BEARER, secret, placeholder: '' },
    })
    return redactor.text(head.headers.join(' '), 't_1').length
  }
  t.ok((await use()) > 0)
  t.equal(await isInHeap(), true, 'while the task runs')
  tasks.delete('t_1')
  await store.endTask('t_1')
  let isGone = false
  for (let times = 0; times < 5 && !isGone; times += 1) {
    await new Promise((resolve) => setTimeout(resolve, 6000))
    // The runtime keeps what it matched last.
    redactor.text('something else that is long enough', undefined)
    isGone = !(await isInHeap())
  }
  t.equal(isGone, true, 'once the last records are written')
})
