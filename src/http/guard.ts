/**
 * Keeps web pages out. A browser on this machine can be made to send requests to loopback by any page it shows, so two of
 * its own headers are checked on every request, before routing matters:
 *
 * - `Host` must name loopback. A page that points its own name at 127.0.0.1 (DNS rebinding) still sends that name, and is
 *   told 421. The port is not compared: behind `ssh -L` it is another one. On a unix socket, clients write whatever they
 *   like there (`localhost`, `unix`, nothing), and only names with a dot in them, which the DNS could serve, are refused.
 * - `Origin`, where a browser sends it, must be the very host that was asked, else 403.
 *
 * What a page may load without either (an image, a script) it cannot read: see the headers below.
 */
import { isIPv4 } from 'node:net'
import type { FastifyRequest } from 'fastify'

export const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/** Whether an address or a name can only mean this machine. IPv6 addresses come without brackets. */
export function isLoopback(host: string): boolean {
  return host === '::1' || (isIPv4(host) && host.startsWith('127.')) || /^(.+\.)?localhost\.?$/i.test(host)
}

export type Refusal = { status: 403 | 421; code: string; detail: string }

/** Says why a request must not be answered, or undefined when it may. */
export function refusal(headers: FastifyRequest['headers'], onUnixSocket: boolean): Refusal | undefined {
  const host = headers.host ?? ''
  const name = hostName(host)
  const ours = name !== undefined && (isLoopback(name) || (onUnixSocket && /^[\w-]*$/.test(name)))
  if (!ours) {
    return {
      status: 421,
      code: 'wrong-host',
      detail: 'The Host header names another host; use 127.0.0.1, [::1] or localhost.',
    }
  }
  const { origin } = headers
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    return { status: 403, code: 'wrong-origin', detail: 'Requests from pages of another origin are refused.' }
  }
  return undefined
}

/** `[::1]:9676` -> `::1`, `localhost:9676` -> `localhost`; undefined for what no client may send. */
function hostName(host: string): string | undefined {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*))(?::\d{1,5})?$/i.exec(host)
  return parts?.[1] ?? parts?.[2]
}
