/**
 * One listening socket that serves several peers, so that one which does not read takes nothing from the others.
 *
 * Clients that connect to us before any of them was heard share a socket for as long as they live: the kernel lets no
 * other socket send to them. What they have not read is charged to the send buffer of that socket (Linux:
 * net/unix/af_unix.c, unix_dgram_sendmsg), and towards a connected client no limit of its own queue holds. SIOCOUTQ
 * tells how many bytes of the socket are unread; not by whom.
 *
 * While less than an eighth of the buffer is unread, all may send. Above that, peers take *turns*. What is unread at
 * the begin of a turn is its floor; above the floor only the owner's bytes can be. The owner may have a window of them
 * unread, so it sends all the time while no other peer wants a turn. When another does, the owner waits until it has
 * read to the floor, and the turn passes on. An owner that reads nothing for PATIENCE_MS meanwhile is *asleep*: it
 * loses the turn, and gets another, for one frame, when less is unread than when it fell asleep, which its own reading
 * causes. The reading of one peer can be hidden by what the next owner leaves unread in its turn; so a sleeper is tried
 * with one frame all the same, after waits that double up to a minute. All that sleepers hold is an eighth, a window
 * each, and those frames, never more than three quarters; a window is at most an eighth and a share of what is left.
 */
import type { Layout } from '../../os/layout.js'
import { NativeMemory } from '../../os/native-memory.js'
import * as unix from '../../os/unix-socket.js'

/**
 * A reader that has the processor takes microseconds. Arbitrary; one that is put to sleep wrongly has its turn when it
 * reads.
 */
const PATIENCE_MS = 4
/** How long a turn is kept for the peer that asked first; blocked ports are tried each millisecond. */
const RESERVED_MS = 10
/** How often a peer that is asleep may ask for silence, to see whether it has read. */
const ASK_MS = 50
/** Between turns of a peer that falls asleep in each, although something was read. */
const LONGEST_WAIT_MS = 256
/** Between turns of a peer that falls asleep in each, while nothing shows that it reads. */
const LONGEST_TRIAL_MS = 65_536
/** 64 frames of 1514 bytes: one batch. */
const LARGEST_WINDOW = 147_456
const SMALLEST_WINDOW = 2304

/** What a socket knows of one of its peers. */
export class Share {
  /** Unread bytes of the socket when this peer fell asleep; Infinity while it is awake. */
  asleepBelow = Number.POSITIVE_INFINITY
  /** Bytes. */
  window = LARGEST_WINDOW
  /** No turn before this time, and the wait that comes next. */
  notBefore = 0
  waitMs = 0
  /** When it gets a turn although nothing shows that it has read, and the wait that comes next. */
  trialAt = 0
  trialMs = 1
  askedAt = 0
}

export class SharedSocket {
  readonly #layout: Layout
  readonly #fd: number
  readonly #room: number
  readonly #memory = new NativeMemory(8)
  #shares: readonly Share[] = []
  #owner: Share | null = null
  #floor = 0
  /** Unread bytes at the last look, with what was sent since. */
  #unread = 0
  /** When the owner was last seen to read. */
  #progressAt = 0
  /** The peer whose turn is next. */
  #next: Share | null = null
  #reservedUntil = 0
  #contended = false

  /** `fd` is not closed by this. */
  constructor(layout: Layout, fd: number) {
    this.#layout = layout
    this.#fd = fd
    this.#room = unix.sendBufferSize(layout, fd)
  }

  /** All peers that are served through the socket now. */
  set shares(shares: readonly Share[]) {
    this.#shares = shares
    if (this.#owner !== null && !shares.includes(this.#owner)) this.#owner = null
    if (this.#next !== null && !shares.includes(this.#next)) this.#next = null
  }

  /**
   * How many of the frames, from the front, may be sent to this peer now; 0: try again within a millisecond.
   * Milliseconds.
   */
  admit(share: Share, lengths: Int32Array, first: number, count: number, now: number): number {
    const unread = unix.unreadBytes(this.#layout, this.#fd, this.#memory)
    const left = (this.#room - unread) / (2 * this.#shares.length)
    if (unread <= this.#room / 8) {
      if (this.#contended) this.#calmDown()
      return fitting(lengths, first, count, Math.min(LARGEST_WINDOW, this.#room / 8, left))
    }
    this.#contended = true
    if (unread < this.#unread) this.#progressAt = now
    this.#unread = unread
    if (!this.#hasTurn(share, unread, now)) return 0
    const window = Math.min(share.window, this.#room / 8, left) - (unread - this.#floor)
    if (window <= 0) return 0
    const admitted = fitting(lengths, first, count, window)
    for (let i = first; i < first + admitted; i++) this.#unread += chargeOf(lengths[i])
    return admitted
  }

  #hasTurn(share: Share, unread: number, now: number): boolean {
    if (this.#owner === share) {
      if (unread > this.#floor) return !this.#isReserved(now)
      this.#drained(share, unread, now)
      if (!this.#isReserved(now)) return true
      this.#owner = null
      return false
    }
    if (this.#owner !== null && !this.#ends(this.#owner, unread, now)) {
      this.#reserve(share, now)
      return false
    }
    if (!this.#isAwake(share, unread, now)) {
      if (this.#next === share) this.#next = null
      return false
    }
    if (this.#next !== share && this.#isReserved(now)) return false
    this.#next = null
    this.#owner = share
    this.#floor = unread
    this.#progressAt = now
    return true
  }

  /** Whether the turn of the owner, which another peer waits for, is over. */
  #ends(owner: Share, unread: number, now: number): boolean {
    if (unread <= this.#floor) this.#drained(owner, unread, now)
    else if (now - this.#progressAt < PATIENCE_MS || !this.#isReserved(now)) return false
    else this.#fallsAsleep(owner, unread, now)
    this.#owner = null
    return true
  }

  #drained(share: Share, unread: number, now: number): void {
    share.window = Math.min(LARGEST_WINDOW, share.window * 2)
    share.waitMs = 0
    share.trialMs = 1
    this.#floor = unread
    this.#progressAt = now
  }

  #fallsAsleep(share: Share, unread: number, now: number): void {
    // What it holds must not hide what the other sleepers read.
    for (const other of this.#shares) other.asleepBelow += unread - this.#floor
    share.asleepBelow = unread
    share.window = SMALLEST_WINDOW
    share.notBefore = now + share.waitMs
    share.waitMs = Math.min(LONGEST_WAIT_MS, Math.max(1, 2 * share.waitMs))
    share.trialAt = now + share.trialMs
    share.trialMs = Math.min(LONGEST_TRIAL_MS, 2 * share.trialMs)
  }

  #isAwake(share: Share, unread: number, now: number): boolean {
    if (share.asleepBelow === Number.POSITIVE_INFINITY) return true
    const hasRead = unread < share.asleepBelow && now >= share.notBefore
    const isTried = now >= share.trialAt && unread < (3 * this.#room) / 4
    if (!hasRead && !isTried) return false
    share.asleepBelow = Number.POSITIVE_INFINITY
    return true
  }

  #reserve(share: Share, now: number): void {
    if (this.#next !== share && this.#isReserved(now)) return
    if (share.asleepBelow !== Number.POSITIVE_INFINITY && this.#next !== share) {
      if (now - share.askedAt < ASK_MS) return
      share.askedAt = now
    }
    // The owner is given its time from now on: until now it had no reason to stop sending.
    if (!this.#isReserved(now)) this.#progressAt = now
    this.#next = share
    this.#reservedUntil = now + RESERVED_MS
  }

  #isReserved(now: number): boolean {
    return this.#next !== null && now < this.#reservedUntil
  }

  #calmDown(): void {
    this.#contended = false
    this.#owner = null
    this.#next = null
    for (const share of this.#shares) share.asleepBelow = Number.POSITIVE_INFINITY
  }
}

/** How many frames from the front are charged at most `bytes`; one at least. */
function fitting(lengths: Int32Array, first: number, count: number, bytes: number): number {
  let charge = chargeOf(lengths[first])
  let taken = 1
  for (; taken < count; taken++) {
    charge += chargeOf(lengths[first + taken])
    if (charge > bytes) break
  }
  return taken
}

/**
 * What a datagram is charged: its bytes and 320 for struct skb_shared_info in a block of a power of two, and 256 for
 * struct sk_buff.
 */
const chargeOf = (length: number) => (1 << (32 - Math.clz32(length + 319))) + 256
