/** A port forward and its two ends, as text. Without the schema library, for the slirp process, which starts often. */
import { parseIpv4, parseIpv6 } from '../wire/ip-address.js'

export interface Forward {
  readonly protocol: 'tcp' | 'udp'
  /** Where the host listens: `127.0.0.1:2222`, `[::1]:2222`, or the absolute path of a unix socket. */
  readonly host: string
  /** `10.0.2.15:22`, `[fd00::15]:22`. */
  readonly guest: string
}

export type ForwardEnd =
  | { readonly family: 'ipv4' | 'ipv6'; readonly address: string; readonly port: number }
  | { readonly family: 'unix'; readonly path: string }

/** Undefined when it is neither address and port, nor an absolute path. */
export function parseForwardEnd(text: string): ForwardEnd | undefined {
  if (text.startsWith('/')) return { family: 'unix', path: text }
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const [, ipv6, ipv4, digits] = match
  const port = Number(digits)
  if (port < 1 || port > 65_535) return undefined
  if (ipv6 !== undefined) return parseIpv6(ipv6) === undefined ? undefined : { family: 'ipv6', address: ipv6, port }
  return parseIpv4(ipv4) === undefined ? undefined : { family: 'ipv4', address: ipv4, port }
}
