/**
 * Keeps web pages out. A browser on this machine can be made to send requests to loopback by any page it shows, so two
 * of its own headers are checked on every request and every WebSocket, before routing matters:
 *
 * - `Host` must be ours. A page that points its own name at our address (DNS rebinding) still sends that name, and is
 *   told
 *   421. Ours is loopback, what `http.allowedHosts` lists, and, for a listener off loopback, every IP address: no DNS
 *        serves
 *   those. The port is not compared: behind `ssh -L` it is another one. On a unix socket, clients write whatever they
 *   like there (`localhost`, `unix`, nothing), and only names with a dot in them, which the DNS could serve, are
 *   refused. Two Host headers are refused, and so is none, except from HTTP/1.0 (RFC 9112 section 3.2): probes of load
 *   balancers speak that, browsers do not.
 * - `Origin`, where a browser sends it, must be the very host that was asked, else 403.
 *
 * What a page may load without either (an image, a script) it cannot read: see the headers below.
 */
import type { IncomingMessage } from 'node:http'
import { isIP, isIPv4 } from 'node:net'
import { normalOrigin, parseHost, type Scheme } from '../config/origin.js'

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
  readonly scheme: Scheme
  /** Lower case. */
  readonly allowedHosts: readonly string[]
}

/** Whether an address or a name can only mean this machine. IPv6 addresses come without brackets. */
export function isLoopback(host: string): boolean {
  return host === '::1' || (isIPv4(host) && host.startsWith('127.')) || /^(.+\.)?localhost\.?$/i.test(host)
}

export type Refusal = { status: 400 | 403 | 421; code: string; detail: string }

/** What of a request is looked at. */
export type Asked = Pick<IncomingMessage, 'headers' | 'rawHeaders' | 'httpVersionMajor' | 'httpVersionMinor'>

/** Says why a request must not be answered, or undefined when it may. `allowedOrigins`: besides the host's own. */
export function refusal(request: Asked, door: Door, allowedOrigins: readonly string[] = []): Refusal | undefined {
  const hosts = hostHeaders(request)
  if (hosts > 1 || (hosts === 0 && !mayOmitHost(request, door))) {
    return { status: 400, code: 'bad-request', detail: `The request has ${hosts} Host headers; it must have one.` }
  }
  const host = parseHost(request.headers.host ?? '', door.scheme)
  if (host === undefined || !(hosts === 0 || isOurs(host.name, door))) {
    return {
      status: 421,
      code: 'wrong-host',
      detail:
        `The Host header is ${quoted(request.headers.host)}, which is no name of this switch. Ask for the address itself, or add the ` +
        'name to http.allowedHosts; a proxy must pass on the Host header that it was sent.',
    }
  }
  if (request.headers.origin === undefined) return undefined
  const origin = normalOrigin(request.headers.origin)
  if (origin === `${door.scheme}://${host.authority}`) return undefined
  // A proxy in front of us may speak TLS where we do not.
  if (door.allowedHosts.includes(host.name) && origin === secureOrigin(request.headers.host)) return undefined
  if (allowedOrigins.some(allowed => normalOrigin(allowed) === origin)) return undefined
  return {
    status: 403,
    code: 'wrong-origin',
    detail:
      `The request is from a page of ${quoted(request.headers.origin)} and for the host ${quoted(request.headers.host)}; requests from ` +
      'pages of another origin are refused. A proxy must pass on the Host header that it was sent, and http.allowedHosts must list that name.',
  }
}

/** What a client wrote, at a length fit for a sentence. */
function quoted(text = ''): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)
}

/** Node keeps only the first of several. */
function hostHeaders({ rawHeaders }: Asked): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === 'host') count++
  return count
}

function mayOmitHost({ httpVersionMajor, httpVersionMinor }: Asked, { kind }: Door): boolean {
  return kind === 'unix' || (httpVersionMajor === 1 && httpVersionMinor === 0)
}

function secureOrigin(host = ''): string {
  return `https://${parseHost(host, 'https')?.authority}`
}

function isOurs(name: string, { kind, allowedHosts }: Door): boolean {
  if (isLoopback(name) || allowedHosts.includes(name)) return true
  if (kind === 'unix') return /^[\w-]*$/.test(name)
  return kind === 'network' && isIP(name) !== 0
}
