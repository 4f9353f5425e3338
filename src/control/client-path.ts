// Pieces of requests to the control API. Pure. Called by `client.ts`.

/** The path of a task. */
export function taskPath(id: string): string {
  return `/v1/tasks/${encodeURIComponent(id)}`
}

/** A body's member for a reason, where there is one. */
export function reasonOf(reason: string | undefined): { readonly reason?: string } {
  return reason === undefined ? {} : { reason }
}

/** A query of the values that are there, with its `?`; nothing where none are. */
export function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(values))
    if (value !== undefined) query.set(name, value)
  return query.size === 0 ? '' : `?${query.toString()}`
}

/** The head of a request, with what proves the client and what describes its body. */
export function headersFor(
  token: string | undefined,
  body: string | undefined,
): Readonly<Record<string, string | number>> {
  return {
    Accept: 'application/json',
    ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    ...(body !== undefined && {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
    }),
  }
}
