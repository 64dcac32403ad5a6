/** Addresses of UDP sockets as an operator writes them: `10.0.0.1:4789`, `[fe80::1%eth0]:7000`, `peer.example:7000`. */

import { z } from 'zod'
import { formatIp, parseIp } from '../wire/ip-prefix.js'
import { allow } from './fields.js'

export interface HostPort {
  /** An IP address in its usual form, without brackets and zone; or a name. */
  readonly host: string
  /** Null for a name. */
  readonly family: 4 | 6 | null
  /** Interface of a link-local IPv6 address. */
  readonly zone: string | null
  /** Null where none is given. */
  readonly port: number | null
}

/** Undefined for text that is none of these. Only an IPv6 address without port may go without brackets. */
export function parseHostPort(text: string): HostPort | undefined {
  const bare = addressOf(text)
  if (bare !== undefined) return { ...bare, port: null }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text)
  if (match === null) return undefined
  const port = match[3] === undefined ? null : Number(match[3])
  if (port !== null && port > 65_535) return undefined
  const address = addressOf(match[1] ?? match[2])
  if (address !== undefined) return { ...address, port }
  if (match[1] !== undefined || !isHostName(match[2])) return undefined
  return { host: match[2].toLowerCase(), family: null, zone: null, port }
}

/** As it is written: IPv6 in brackets when a port follows. */
export function formatHostPort({ host, family, zone, port }: HostPort): string {
  const address = zone === null ? host : `${host}%${zone}`
  if (port === null) return address
  return family === 6 ? `[${address}]:${port}` : `${address}:${port}`
}

export const udpAddress = (what: string) => allow(what, z.string().regex(/^[^\s/]{1,255}$/))

function addressOf(text: string): Omit<HostPort, 'port'> | undefined {
  const [address, zone, ...more] = text.split('%')
  const bytes = parseIp(address)
  if (bytes === undefined || more.length > 0) return undefined
  if (zone !== undefined && (bytes.length === 4 || !/^[\w.-]{1,15}$/.test(zone))) return undefined
  return { host: formatIp(bytes), family: bytes.length === 4 ? 4 : 6, zone: zone ?? null }
}

/** RFC 1123; a last label of digits would be a mistyped IPv4 address. */
function isHostName(text: string): boolean {
  const labels = text.replace(/\.$/, '').split('.')
  return (
    text.length <= 253 &&
    labels.every(label => /^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$/.test(label)) &&
    !/^\d+$/.test(labels[labels.length - 1])
  )
}
