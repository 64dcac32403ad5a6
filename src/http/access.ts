/**
 * Who may do what. A caller shows a token, which has a name and a role: `read` may look, `control` may also change and see
 * traffic. Where no token is configured (on loopback and unix sockets only) everybody who reaches the server may do everything.
 *
 * The token comes as `Authorization: Bearer`, or as the password of `Basic` with any user name: that is what browsers can ask
 * a person for and then send with everything, event streams and downloads too. Since a browser sends it by itself, also when
 * another site makes it, `Origin` is checked before (guard.ts).
 */
import type { IncomingMessage } from 'node:http'
import type { Role } from '../config/config.js'
import { FailureLimit } from '../failure-limit.js'
import { HttpProblem } from './problem.js'
import { anonymous, type Identity, type TokenStore } from './token-store.js'

/** What a route asks of its caller; `open` nothing. */
export type Access = 'open' | Role

export class AccessControl {
  readonly #tokens: TokenStore
  readonly #failures = new FailureLimit()
  readonly #onRefused: (address: string, why: string) => void

  constructor(tokens: TokenStore, onRefused: (address: string, why: string) => void) {
    this.#tokens = tokens
    this.#onRefused = onRefused
  }

  /** Says who asks, or throws the problem to answer with. Nobody is asked at an open route. */
  identify(request: IncomingMessage, access: Access): Identity {
    if (access === 'open' || this.#tokens.isEmpty) return anonymous
    const address = request.socket.remoteAddress ?? ''
    const presented = presentedToken(request)
    if (presented === undefined)
      throw unauthorized(request, 'token-missing', 'This needs a token: Authorization: Bearer <token>.')
    const wait = this.#failures.waitSeconds(address)
    if (wait > 0) throw tooMany(wait)
    const identity = this.#tokens.identify(presented)
    if (identity === undefined || identity === 'expired') {
      this.refused(address, identity ?? 'unknown')
      throw identity === 'expired'
        ? unauthorized(request, 'token-expired', 'This token has expired.')
        : unauthorized(request, 'token-unknown', 'This token is not known here.')
    }
    return identity
  }

  /** Throws the problem to answer with when that is not enough. */
  authorize({ name, role }: Identity, access: Access): void {
    if (access !== 'control' || role === 'control') return
    throw new HttpProblem(403, 'role-too-weak', `The token "${name}" may only read; this needs the role control.`)
  }

  /** Counts a wrong token; false when this address has to wait now. */
  refused(address: string, why: string): boolean {
    this.#failures.failed(address)
    this.#onRefused(address, why)
    return this.#failures.waitSeconds(address) === 0
  }

  /** Whether an address has used up its failures. */
  mustWait(address: string): boolean {
    return this.#failures.waitSeconds(address) > 0
  }
}

/** From `Authorization: Bearer`, or the password of `Basic`; undefined when there is neither. */
export function presentedToken({ headers }: IncomingMessage): string | undefined {
  const [, scheme, value] = /^(Bearer|Basic) +(\S+) *$/i.exec(headers.authorization ?? '') ?? []
  if (value === undefined) return undefined
  if (scheme?.toLowerCase() === 'bearer') return value
  const decoded = Buffer.from(value, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  return colon < 0 ? undefined : decoded.slice(colon + 1)
}

/** A person who navigates here is asked by the browser; a program is not, nor is a script of a page. */
function unauthorized({ headers }: IncomingMessage, code: string, detail: string): HttpProblem {
  const scheme = headers['sec-fetch-mode'] === 'navigate' ? 'Basic' : 'Bearer'
  return new HttpProblem(401, code, detail, { 'www-authenticate': `${scheme} realm="tapswitch"` })
}

function tooMany(seconds: number): HttpProblem {
  return new HttpProblem(429, 'too-many-failures', 'Too many wrong tokens came from this address.', {
    'retry-after': String(seconds),
  })
}
