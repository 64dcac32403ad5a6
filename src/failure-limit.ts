/**
 * Bounds how fast an address may guess tokens: a few failures at once, then one a second. While an address has none
 * left, its tokens are not even looked at, right ones included: an answer would tell whether the guess was right.
 * Requests without a token are refused and count for nothing.
 *
 * The table is bounded. An attacker with many addresses pushes out the entry that has been quiet longest, and so could
 * forget his own failures; with tokens of at least 16 characters he is welcome to.
 */
import { isIPv6 } from 'node:net'

/** Arbitrary: a person who mistypes, a script that was given the wrong file. */
const BURST = 20
const PER_SECOND = 1
const MAX_ADDRESSES = 1024

interface Bucket {
  tokens: number
  at: number
}

export class FailureLimit {
  readonly #buckets = new Map<string, Bucket>()
  readonly #now: () => number

  /** `now` in milliseconds, on any clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Seconds until this address may try again; 0 when it may now. */
  waitSeconds(address: string): number {
    const bucket = this.#buckets.get(addressKey(address))
    if (bucket === undefined) return 0
    const left = this.#refill(bucket)
    return left >= 1 ? 0 : Math.ceil((1 - left) / PER_SECOND)
  }

  failed(address: string): void {
    const key = addressKey(address)
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, at: this.#now() }
    this.#refill(bucket)
    bucket.tokens = Math.max(0, bucket.tokens - 1)
    // Last in the order of insertion: the one that failed most recently.
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > MAX_ADDRESSES) this.#buckets.delete(this.#buckets.keys().next().value as string)
  }

  get size(): number {
    return this.#buckets.size
  }

  #refill(bucket: Bucket): number {
    const now = this.#now()
    bucket.tokens = Math.min(BURST, bucket.tokens + ((now - bucket.at) / 1000) * PER_SECOND)
    bucket.at = now
    return bucket.tokens
  }
}

/** What counts as one address: one subscriber of IPv6 has a /64 of them. */
export function addressKey(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head, tail] = address.split('::')
  const groups = (head as string).split(':')
  if (tail !== undefined) while (groups.length < 4) groups.push('0')
  return groups.slice(0, 4).join(':')
}
