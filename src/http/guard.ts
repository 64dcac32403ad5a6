/**
 * Keeps web pages out. A browser on this machine can be made to send requests to loopback by any page it shows, so two of
 * its own headers are checked on every request and every WebSocket, before routing matters:
 *
 * - `Host` must be ours. A page that points its own name at our address (DNS rebinding) still sends that name, and is told
 *   421. Ours is loopback, what `http.allowedHosts` lists, and, for a listener off loopback, every IP address: no DNS serves
 *   those. The port is not compared: behind `ssh -L` it is another one. On a unix socket, clients write whatever they like
 *   there (`localhost`, `unix`, nothing), and only names with a dot in them, which the DNS could serve, are refused.
 * - `Origin`, where a browser sends it, must be the very host that was asked, else 403.
 *
 * What a page may load without either (an image, a script) it cannot read: see the headers below.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { isIP, isIPv4 } from 'node:net'

export const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const

/** Where a request came in. */
export interface Door {
  readonly kind: 'unix' | 'loopback' | 'network'
  readonly scheme: 'http' | 'https'
  /** Lower case. */
  readonly allowedHosts: readonly string[]
}

/** Whether an address or a name can only mean this machine. IPv6 addresses come without brackets. */
export function isLoopback(host: string): boolean {
  return host === '::1' || (isIPv4(host) && host.startsWith('127.')) || /^(.+\.)?localhost\.?$/i.test(host)
}

export type Refusal = { status: 403 | 421; code: string; detail: string }

/** Says why a request must not be answered, or undefined when it may. `allowedOrigins`: besides the host's own. */
export function refusal(
  headers: IncomingHttpHeaders,
  door: Door,
  allowedOrigins: readonly string[] = [],
): Refusal | undefined {
  const host = (headers.host ?? '').toLowerCase()
  const name = hostName(host)
  if (name === undefined || !isOurs(name, door)) {
    return {
      status: 421,
      code: 'wrong-host',
      detail: 'The Host header names another host; use the address itself or a name from http.allowedHosts.',
    }
  }
  const origin = headers.origin?.toLowerCase()
  if (origin === undefined || origin === `${door.scheme}://${host}`) return undefined
  // A proxy in front of us may speak TLS where we do not.
  if (door.allowedHosts.includes(name) && origin === `https://${host}`) return undefined
  if (allowedOrigins.some(allowed => allowed.toLowerCase() === origin)) return undefined
  return { status: 403, code: 'wrong-origin', detail: 'Requests from pages of another origin are refused.' }
}

function isOurs(name: string, { kind, allowedHosts }: Door): boolean {
  if (isLoopback(name) || allowedHosts.includes(name)) return true
  if (kind === 'unix') return /^[\w-]*$/.test(name)
  return kind === 'network' && isIP(name) !== 0
}

/** `[::1]:9676` -> `::1`, `localhost:9676` -> `localhost`; undefined for what no client may send. */
function hostName(host: string): string | undefined {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*))(?::\d{1,5})?$/i.exec(host)
  return parts?.[1] ?? parts?.[2]
}
