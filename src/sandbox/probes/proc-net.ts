// What the kernel tells of this network namespace: its listening sockets and how it writes addresses. Reading only. Called by
// `surroundings.ts` and the probes of loopback and routes.

import { readFileSync } from 'node:fs'

import { canonicalAddress } from '../../wire/address.ts'

/** A socket that listens, or that is bound for datagrams. */
export interface BoundSocket {
  readonly host: string
  readonly port: number
  readonly inode: string
}

const TCP_LISTEN = '0A'

/** The listening TCP sockets; undefined where the kernel does not tell. */
export function listeningSockets(): BoundSocket[] | undefined {
  const tables = ['tcp', 'tcp6'].map((table) => readTable(table))
  if (tables.every((rows) => rows === undefined)) return undefined
  return tables
    .flatMap((rows) => rows ?? [])
    .flatMap(({ state, socket }) => (state === TCP_LISTEN ? [socket] : []))
}

function readTable(name: string): { state: string; socket: BoundSocket }[] | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/net/${name}`, 'latin1')
  } catch {
    return undefined
  }
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state = '', , , , , , inode = ''] = line.trim().split(/\s+/)
      const [address = '', port = ''] = local.split(':')
      const host = address.length === 8 ? hexAddress4(address) : hexWords6(address)
      return host === undefined
        ? []
        : [{ state, socket: { host, port: parseInt(port, 16), inode } }]
    })
}

/** Reads an IPv4 address that the kernel wrote as a little-endian word. */
export function hexAddress4(hex: string): string | undefined {
  if (!/^[\dA-Fa-f]{8}$/.test(hex)) return undefined
  return [6, 4, 2, 0].map((at) => parseInt(hex.slice(at, at + 2), 16)).join('.')
}

/** Reads an IPv6 address that the kernel wrote as bytes in order. */
export function hexAddress6(hex: string): string | undefined {
  if (!/^[\dA-Fa-f]{32}$/.test(hex)) return undefined
  const groups = hex.match(/.{4}/g) ?? []
  return canonicalAddress(groups.join(':'))?.host
}

/** Reads an IPv6 address that the kernel wrote as four little-endian words. */
function hexWords6(hex: string): string | undefined {
  const words = hex.match(/.{8}/g) ?? []
  return hexAddress6(words.map((word) => (word.match(/../g) ?? []).toReversed().join('')).join(''))
}
