// placeholder: owned by the wire room
/** Where a connection goes: one normal form used for deciding, dialing, TLS, Host and the record. */
export interface Endpoint {
  /** Lower-case A-label name without trailing dot, or a canonical address without brackets (IPv4-mapped IPv6 is IPv4). */
  readonly host: string
  readonly kind: 'name' | 'ipv4' | 'ipv6'
  /** 1–65535. */
  readonly port: number
  /** The host as it was meant before IPv4-mapped addresses are unmapped: two spellings of one address are not the same authority. */
  readonly literal: string
}
