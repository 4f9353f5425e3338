// The numbers of DNS that anything here depends on, and what a record calls the others. Pure. Called by `listen/dns-door.ts`.

/** The types that are answered with an address. */
export const DNS_TYPE = { a: 1, aaaa: 28, ptr: 12 } as const

/** The one class that is answered: the Internet. */
export const DNS_CLASS_IN = 1

// prettier-ignore
const TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'A'], [2, 'NS'], [5, 'CNAME'], [6, 'SOA'], [10, 'NULL'], [12, 'PTR'], [13, 'HINFO'], [15, 'MX'], [16, 'TXT'],
  [28, 'AAAA'], [29, 'LOC'], [33, 'SRV'], [35, 'NAPTR'], [43, 'DS'], [44, 'SSHFP'], [48, 'DNSKEY'], [52, 'TLSA'],
  [61, 'OPENPGPKEY'], [64, 'SVCB'], [65, 'HTTPS'], [99, 'SPF'], [251, 'IXFR'], [252, 'AXFR'], [255, 'ANY'],
  [256, 'URI'], [257, 'CAA'],
])
const CLASSES: ReadonlyMap<number, string> = new Map([
  [1, 'IN'],
  [3, 'CH'],
  [4, 'HS'],
  [254, 'NONE'],
  [255, 'ANY'],
])

/** What a type is called; one without a name of its own as RFC 3597 section 5 writes it. */
export function dnsTypeName(type: number): string {
  return TYPES.get(type) ?? `TYPE${type}`
}

/** What a class is called. */
export function dnsClassName(number: number): string {
  return CLASSES.get(number) ?? `CLASS${number}`
}
