// Who runs this program, as the operating system has it and not as a variable says. Called by `run.ts`.

import { homedir, userInfo } from 'node:os'

/** The user of this process. */
export function osUser(): { readonly name: string; readonly home: string } {
  try {
    const { username, homedir: home } = userInfo()
    return { name: username, home }
  } catch {
    // There may be no entry of it, such as in a container.
    return { name: `uid ${process.getuid?.() ?? 'unknown'}`, home: homedir() }
  }
}
