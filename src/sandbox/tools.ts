// Finds the programs that a sandbox is made with, and says in words why it cannot be made where it cannot. Called by
// `outer.ts`.

import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

import type { ToolName, Tools } from './messages.ts'

/** A sandbox cannot be made here, or was not made; the message says why to whoever runs the command. */
export class SandboxProblem extends Error {}

const PACKAGES: Readonly<Record<ToolName, string>> = {
  unshare: 'util-linux',
  setpriv: 'util-linux',
  mount: 'util-linux (on Debian and Ubuntu: mount)',
  ip: 'iproute2 (on Fedora: iproute)',
  sh: 'dash or another shell',
}

// Administrators' programs are not on everybody's path.
const USUAL_DIRS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/run/current-system/sw/bin']

/** Switches of the kernel that keep users from making namespaces: what they are when they do, and what to say. */
const SWITCHES = [
  {
    file: '/proc/sys/user/max_user_namespaces',
    forbids: '0',
    advice: 'user namespaces are switched off: sysctl user.max_user_namespaces=15000',
  },
  {
    file: '/proc/sys/kernel/unprivileged_userns_clone',
    forbids: '0',
    advice:
      "user namespaces are root's alone: sysctl kernel.unprivileged_userns_clone=1, or run it as root",
  },
  {
    file: '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    forbids: '1',
    advice:
      'AppArmor restricts user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0, give unshare a profile that allows `userns`, or run it as root',
  },
] as const

/** Finds them. @throws SandboxProblem naming the first that is not installed, and its package */
export function findTools(searchPath: string | undefined): Tools {
  const dirs = [
    ...(searchPath ?? '').split(':').filter((dir) => dir.startsWith('/')),
    ...USUAL_DIRS,
  ]
  const find = (name: ToolName): string => {
    const found = dirs.map((dir) => path.join(dir, name)).find(isProgram)
    if (found !== undefined) return found
    throw new SandboxProblem(`\`${name}\` is not installed: it comes with ${PACKAGES[name]}`)
  }
  return {
    unshare: find('unshare'),
    setpriv: find('setpriv'),
    mount: find('mount'),
    ip: find('ip'),
    sh: find('sh'),
  }
}

/** Says why namespaces cannot be made, as far as the kernel tells. */
export function whyForbidden(): string {
  const found = SWITCHES.filter(({ file, forbids }) => readText(file) === forbids)
  if (found.length > 0) return found.map(({ advice }) => advice).join('; ')
  if (existsSync('/.dockerenv') || existsSync('/run/.containerenv'))
    return 'a container without the right to make namespaces: see docs/run.md for what it must be started with'
  return 'the kernel, or a policy of this machine, does not let this user make namespaces'
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}
