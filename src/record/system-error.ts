// Reads the code of an error of the operating system. Pure; called wherever this room touches files.

/** The code (`ENOENT`, `ENOSPC`, …) of a system error; undefined for any other error. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
