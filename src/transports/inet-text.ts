/** Socket addresses between what people read and what the kernel wants. */
import { parseHostPort } from '../config/inet-address.js'
import { OperatorError } from '../errors.js'
import type { Layout } from '../os/layout.js'
import { decodeInetAddress, type InetAddress } from '../os/sockaddr-in.js'
import { interfaceIndex } from '../os/udp-socket.js'
import { formatIp, parseIp } from '../wire/ip-prefix.js'

/** `10.0.0.1:7000`, `[::1]:7000`; a zone is written as the interface's number, which the kernel knows it by. */
export function formatInetAddress({ ip, port, scope }: InetAddress): string {
  const zone = scope === 0 ? '' : `%${scope}`
  return ip.length === 4 ? `${formatIp(ip)}:${port}` : `[${formatIp(ip)}${zone}]:${port}`
}

/** Of a raw address; null where it is none. */
export function inetLabel(layout: Layout, raw: Uint8Array): string | null {
  const address = decodeInetAddress(layout, raw)
  return address === undefined ? null : formatInetAddress(address)
}

/**
 * An IP address and port from the configuration, checked there. Throws OperatorError when its interface does not exist.
 */
export function literalAddress(text: string): InetAddress {
  const parsed = parseHostPort(text)
  const ip = parsed === undefined ? undefined : parseIp(parsed.host)
  if (parsed === undefined || ip === undefined || parsed.port === null) throw new Error(`not an IP address: ${text}`)
  return { ip, port: parsed.port, scope: scopeOf(parsed.zone) }
}

/** Number of the interface a link-local address belongs to; 0 where none is named. */
export function scopeOf(zone: string | null): number {
  if (zone === null) return 0
  const index = /^\d+$/.test(zone) ? Number(zone) : interfaceIndex(zone)
  if (index === 0) throw new OperatorError(`there is no interface "${zone}"`)
  return index
}
