/**
 * How the page in a browser gets the role control on a machine where no token is configured. `tapswitch run` and
 * `tapswitch link` print a link whose fragment holds a code; the page exchanges the code for the token of a session,
 * and shows that like any other.
 *
 * A code works once and for a few minutes, so a link in a terminal's history or a browser's gives nothing away later.
 * The fragment of a link is not sent to servers. The page keeps the token in the storage of its tab, not in a cookie:
 * browsers send a cookie of 127.0.0.1 to every port of 127.0.0.1, hence to servers of other users of this machine.
 * Nothing here outlives the process.
 */
import { randomBytes } from 'node:crypto'
import { SecretDigest } from '../secret.js'
import type { Identity } from './token-store.js'

const CODE_MS = 10 * 60_000
const SESSION_MS = 12 * 3_600_000
/** Arbitrary: the oldest makes way for one more. */
const MAX_CODES = 8
const MAX_SESSIONS = 32

export interface Issued {
  readonly secret: string
  /** Milliseconds since 1970. */
  readonly expires: number
}

interface Kept {
  readonly digest: SecretDigest
  readonly expires: number
}

export class Sessions {
  readonly #now: () => number
  #codes: Kept[] = []
  #sessions: Kept[] = []

  /** `now` in milliseconds since 1970. */
  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** For one exchange, within ten minutes. */
  issueCode(): Issued {
    const { issued, kept } = this.#make(16, CODE_MS)
    this.#codes = [...this.#alive(this.#codes), kept].slice(-MAX_CODES)
    return issued
  }

  /** The token of a new session, for twelve hours; undefined when the code is not known, used or too old. */
  exchange(code: string): Issued | undefined {
    this.#codes = this.#alive(this.#codes)
    const used = find(this.#codes, code)
    if (used === undefined) return undefined
    this.#codes = this.#codes.filter(each => each !== used)
    const { issued, kept } = this.#make(32, SESSION_MS)
    this.#sessions = [...this.#alive(this.#sessions), kept].slice(-MAX_SESSIONS)
    return issued
  }

  identify(token: string): Identity | undefined {
    const session = find(this.#sessions, token)
    return session !== undefined && session.expires > this.#now() ? { name: 'page', role: 'control' } : undefined
  }

  #alive(all: readonly Kept[]): Kept[] {
    const now = this.#now()
    return all.filter(({ expires }) => expires > now)
  }

  #make(bytes: number, milliseconds: number): { issued: Issued; kept: Kept } {
    const secret = randomBytes(bytes).toString('base64url')
    const expires = this.#now() + milliseconds
    return { issued: { secret, expires }, kept: { digest: new SecretDigest(secret), expires } }
  }
}

/** All are compared, so that the time does not tell which was right. */
function find(all: readonly Kept[], presented: string): Kept | undefined {
  let found: Kept | undefined
  for (const each of all) if (each.digest.matches(presented)) found = each
  return found
}
