// Whether bytes are the full name of a reference as git itself would take it. Pure; called by `command-list.ts`.

const REF_BYTES_MAX = 1024
// Control characters, space and what has a meaning in revisions and patterns.
// eslint-disable-next-line no-control-regex
const FORBIDDEN = /[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{/

// A byte order mark is a character of the name like any other: dropped, it would hide what follows it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The full name of a reference; undefined where git would refuse it, where it is not UTF-8 or longer than anybody needs.
 * @see git-check-ref-format(1)
 */
export function readRefName(bytes: Uint8Array): string | undefined {
  if (bytes.length > REF_BYTES_MAX) return undefined
  let name: string
  try {
    name = utf8.decode(bytes)
  } catch {
    return undefined
  }
  const components = name.split('/')
  if (components.length < 2 || components[0] !== 'refs') return undefined
  if (FORBIDDEN.test(name) || name.endsWith('.')) return undefined
  return components.every(isComponent) ? name : undefined
}

function isComponent(component: string): boolean {
  return component !== '' && !component.startsWith('.') && !component.endsWith('.lock')
}
