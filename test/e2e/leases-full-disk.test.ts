// What becomes of leases on a disk without room.

import { spawnSync } from 'node:child_process'
import path from 'node:path'

import t from 'tap'

const ENTER = ['-rm', process.execPath, path.join(import.meta.dirname, 'leases-full-disk.child.ts')]
const canMount = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt']).status === 0

void t.spawn('unshare', ENTER, {
  name: 'R13 R60: what is minted on a full disk is not used, and taken back',
  ...(!canMount && { skip: 'this machine lets nobody mount' }),
})
