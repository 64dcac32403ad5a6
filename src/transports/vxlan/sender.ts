/**
 * The way out of one VXLAN network: header in front, one remote or all of them, and a source port that follows the
 * flow.
 *
 * The header is not written in front of the frame, which may lie in a buffer where another frame is; it is a message
 * part of its own. Frames for one remote that follow each other are joined as in udp-sender.ts; copies of a flooded
 * frame go to different ones, and are not.
 *
 * RFC 7348 wants the UDP source port to be a hash of the inner flow, so that routers spread flows over equal paths. The
 * kernel sets it from the socket, so there are several sockets, and the flow chooses one. Frames are sent in the order
 * they came, in runs with one socket, since order is what a caller relies on when only some are taken; flows that
 * alternate cost more calls.
 *
 * A frame for all remotes is as many datagrams (head-end replication). When the kernel stops in the middle of it, the
 * frame is *unfinished*: it comes first in the next call, which goes on with the copy that was refused. A copy that
 * cannot be sent at all (no route to one remote) is left out and counted; the frame is sent if any copy was.
 */
import type { FramePool } from '../../dataplane/frame-pool.js'
import { NativeMemory } from '../../os/native-memory.js'
import type { Os } from '../../os/os.js'
import { SegmentVector } from '../../os/segment-vector.js'
import { flowHash } from '../../wire/flow-hash.js'
import { vxlanHeader } from '../../wire/vxlan.js'
import { isFull, PLAIN_CALLS } from '../udp-sender.js'
import { ALL, type RemoteTable } from './remote-table.js'

/** Datagrams for each call; as many as frames in a batch, so that only floods take more. */
const CAPACITY = 64
/** A call that signals keep interrupting is given up for this turn. */
const MAX_INTERRUPTIONS = 8

/** Where datagrams for a remote go. */
export interface Destination {
  readonly memory: NativeMemory
  readonly length: number
}

export class VxlanSender {
  /** Copies of frames that were left out, since the caller last set it to 0. */
  lostCopies = 0
  /** The socket that was full when `transmit` last took fewer than all. */
  blockedFd: number
  readonly #os: Os
  readonly #pool: FramePool
  readonly #table: RemoteTable
  readonly #fds: readonly number[]
  /** By number of the remote; null where there is none. */
  readonly #remotes: readonly (Destination | null)[]
  /** Numbers of those there are. */
  readonly #present: readonly number[]
  readonly #vector: SegmentVector
  /**
   * For each message in the vector: 1 when it is one of several copies, 1 when it is the last datagram of its frame.
   */
  readonly #isCopy = new Uint8Array(CAPACITY)
  readonly #isLast = new Uint8Array(CAPACITY)
  #fd: number
  /** Calls for which frames are not joined. */
  #plainCalls = 0
  /** Of the first frame to be sent: copies done with, sent, left out. */
  #copiesDone = 0
  #copiesSent = 0
  #copiesFailed = 0

  /** `remotes` and `present` belong to the caller, who changes them between calls. */
  constructor(
    os: Os,
    pool: FramePool,
    vni: number,
    fds: readonly number[],
    table: RemoteTable,
    remotes: readonly (Destination | null)[],
    present: readonly number[],
  ) {
    this.#os = os
    this.#pool = pool
    this.#fds = fds
    this.#table = table
    this.#remotes = remotes
    this.#present = present
    this.#fd = fds[0]
    this.blockedFd = fds[0]
    const header = new NativeMemory(8)
    header.bytes.set(vxlanHeader(vni))
    this.#vector = new SegmentVector(os.layout, CAPACITY, header)
  }

  /** Some copies of the first frame that `transmit` did not take are sent already. */
  get unfinished(): boolean {
    return this.#copiesDone > 0
  }

  /** As `Endpoint.transmit`. There must be a remote. `now` in milliseconds. */
  transmit(offsets: Int32Array, lengths: Int32Array, first: number, count: number, now: number): number {
    let done = 0
    let isRetry = false
    if (this.#plainCalls > 0) this.#plainCalls--
    for (let interruptions = 0; done < count; ) {
      this.#fill(offsets, lengths, first + done, count - done, now, isRetry || this.#plainCalls > 0)
      const sent = this.#os.sendMessages(this.#fd, this.#vector, this.#vector.count)
      if (sent > 0) {
        if (isRetry) this.#plainCalls = PLAIN_CALLS
        isRetry = false
        done += this.#advance(sent)
        continue
      }
      const { EINTR, EAGAIN } = this.#os.layout.errno
      if (sent === -EINTR && interruptions++ < MAX_INTERRUPTIONS) continue
      if (isFull(this.#os, sent)) {
        this.blockedFd = this.#fd
        return done > 0 ? done : -EAGAIN
      }
      if (this.#vector.frames[0] > 1) {
        isRetry = true
        continue
      }
      isRetry = false
      if (this.#isCopy[0] === 0) return done > 0 ? done : sent
      this.#copiesFailed++
      this.#copiesDone++
      if (this.#isLast[0] === 0) continue
      const someWereSent = this.#copiesSent > 0
      this.#finish(someWereSent)
      // With frames before it: refused again in the next call, which then says why.
      if (!someWereSent) return done > 0 ? done : sent
      done++
    }
    return done
  }

  /** Puts datagrams into the vector, from the first frame on, as long as they leave by the same socket. */
  #fill(offsets: Int32Array, lengths: Int32Array, first: number, count: number, now: number, isPlain: boolean): void {
    const { bytes } = this.#pool
    const present = this.#present
    let copies = Math.min(this.#copiesDone, present.length - 1)
    let filled = 0
    let before = ALL
    this.#vector.clear()
    for (let i = first; i < first + count && filled < CAPACITY; i++) {
      const offset = offsets[i]
      const length = lengths[i]
      const fd = this.#fds[this.#fds.length === 1 ? 0 : flowHash(bytes, offset, length) % this.#fds.length]
      if (filled > 0 && fd !== this.#fd) break
      this.#fd = fd
      const remote = copies > 0 ? ALL : this.#table.lookup(bytes, offset, now)
      if (remote !== ALL) {
        const joined = !isPlain && remote === before && this.#vector.join(this.#pool.address + offset, length)
        if (!joined) this.#place(remote, offset, length, 0, 1)
        before = remote
        filled++
        continue
      }
      for (; copies < present.length && filled < CAPACITY; copies++) {
        this.#place(present[copies], offset, length, 1, copies === present.length - 1 ? 1 : 0)
        filled++
      }
      copies = 0
      before = ALL
    }
  }

  #place(remote: number, offset: number, length: number, isCopy: number, isLast: number): void {
    const { memory, length: nameLength } = this.#remotes[remote] as Destination
    const at = this.#vector.count
    this.#vector.add(memory.address, nameLength, this.#pool.address + offset, length)
    this.#isCopy[at] = isCopy
    this.#isLast[at] = isLast
  }

  /** The kernel took so many messages. Returns how many frames are done with. */
  #advance(sent: number): number {
    let frames = 0
    for (let i = 0; i < sent; i++) {
      if (this.#isCopy[i] === 1) {
        this.#copiesDone++
        this.#copiesSent++
      }
      if (this.#isLast[i] === 0) continue
      this.#finish(true)
      frames += this.#vector.frames[i]
    }
    return frames
  }

  #finish(isSent: boolean): void {
    if (isSent) this.lostCopies += this.#copiesFailed
    this.#copiesDone = 0
    this.#copiesSent = 0
    this.#copiesFailed = 0
  }
}
