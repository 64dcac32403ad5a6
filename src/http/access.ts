/**
 * Who may do what. A caller shows a token, which has a name and a role: `read` may look, `control` may also change and
 * see traffic. A caller without a token has the role that `http.anonymous` gives on loopback and unix sockets, and none
 * elsewhere.
 *
 * A token is one of the configuration, the one that the switch made for this machine (control-token.ts), or that of a
 * session of the page (sessions.ts). It comes as `Authorization: Bearer`, or as the password of `Basic` with any user
 * name: that is what browsers can ask a person for and then send with everything, event streams and downloads too.
 * Since a browser sends it by itself, also when another site makes it, `Origin` and `Sec-Fetch-Site` are checked before
 * (guard.ts, fetch-site.ts).
 */
import type { IncomingMessage } from 'node:http'
import type { Anonymous, Role } from '../config/config.js'
import { FailureLimit } from '../failure-limit.js'
import { SecretDigest } from '../secret.js'
import { isRandomToken } from './control-token.js'
import { HttpProblem } from './problem.js'
import type { Sessions } from './sessions.js'
import type { Identity, TokenStore } from './token-store.js'

/**
 * What a route asks of its caller. `open`: nothing. `guest`: what it takes to be a station on the network, which is
 * nothing where callers without a token may look, and the role `control` elsewhere.
 */
export type Access = 'open' | 'guest' | Role

export interface AccessParts {
  readonly tokens: TokenStore
  readonly sessions: Sessions
  /** The role of a caller without a token. */
  readonly anonymous: Anonymous
  /** The token that the switch made itself, where it made one. */
  readonly controlToken?: string | undefined
  readonly onRefused: (address: string, why: string) => void
}

export class AccessControl {
  readonly #parts: AccessParts
  readonly #failures = new FailureLimit()
  readonly #own: { readonly digest: SecretDigest; readonly isRandom: boolean } | null

  constructor(parts: AccessParts) {
    this.#parts = parts
    const { controlToken: own } = parts
    this.#own = own === undefined ? null : { digest: new SecretDigest(own), isRandom: isRandomToken(own) }
  }

  /** Says who asks, or throws the problem to answer with. Open routes ask nothing. */
  identify(request: IncomingMessage, access: Access): Identity {
    if (this.#asksNothing(access)) return { name: 'anonymous', role: 'read' }
    const presented = presentedToken(request)
    if (presented === undefined) return this.#withoutToken(request, access)
    const address = request.socket.remoteAddress ?? ''
    // Random tokens are not guessed, so their holder is not kept out by another user of this address who guesses.
    if (this.#own?.isRandom && this.#own.digest.matches(presented)) return local
    const session = this.#parts.sessions.identify(presented)
    if (session !== undefined) return session
    const wait = this.#failures.waitSeconds(address)
    if (wait > 0) throw tooMany(wait)
    if (this.#own?.digest.matches(presented)) return local
    const identity = this.#parts.tokens.identify(presented)
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
    if (this.#asksNothing(access) || access === 'read' || role === 'control') return
    throw new HttpProblem(403, 'role-too-weak', `The token "${name}" may only read; this needs the role control.`)
  }

  #asksNothing(access: Access): boolean {
    return access === 'open' || (access === 'guest' && this.#parts.anonymous !== 'none')
  }

  #withoutToken(request: IncomingMessage, access: Access): Identity {
    const { anonymous } = this.#parts
    if (anonymous === 'control' || (anonymous === 'read' && access === 'read')) {
      return { name: 'anonymous', role: anonymous }
    }
    throw unauthorized(request, 'token-missing', anonymous === 'none' ? NEEDS_TOKEN : NEEDS_CONTROL)
  }

  /** Counts a wrong token; false when this address has to wait now. */
  refused(address: string, why: string): boolean {
    this.#failures.failed(address)
    this.#parts.onRefused(address, why)
    return this.#failures.waitSeconds(address) === 0
  }

  /** Whether an address has used up its failures. */
  mustWait(address: string): boolean {
    return this.#failures.waitSeconds(address) > 0
  }
}

const local: Identity = { name: 'local', role: 'control' }

const NEEDS_TOKEN = 'This needs a token: Authorization: Bearer <token>.'
const NEEDS_CONTROL =
  'This needs a token with the role control. The tapswitch command finds the one in the runtime directory (control.token) by itself; ' +
  '"tapswitch link" prints a link that gives control to the page.'

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
