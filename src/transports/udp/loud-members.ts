/**
 * A second receive queue for members of a multicast group that flood, so that they do not push out the others.
 *
 * A datagram to a group is given to every socket that joined it. So there are two, each with a program in the kernel
 * that says what it takes (os/steering.ts): the *loud* socket takes what comes from the members that were found to
 * flood, the *quiet* one all else. The engine reads a batch of each in turn.
 *
 * A member is found by a vote: the sender of the first datagram of a full batch gets one, and any other there takes
 * one back. At VOTES it is loud. Several loud members share their queue. When nothing came by it for CALM_TICKS
 * seconds, all are quiet again.
 *
 * Our own datagrams come back from a group, and are a member like others here.
 */
import { randomBytes } from 'node:crypto'
import type { Endpoint, EndpointHost } from '../../dataplane/endpoint.js'
import { BATCH } from '../../dataplane/receive-batch.js'
import type { MessageVector } from '../../os/message-vector.js'
import { SOCKADDR_IN } from '../../os/sockaddr-in.js'
import { admit, digestOf, type SteeringKey } from '../../os/steering.js'
import { receiveOverflows } from '../../os/udp-socket.js'

/** Full batches more than others had; 1,024 frames, what fits into half of a queue of 4 MiB. */
const VOTES = 16
const MAX_LOUD = 8
const CALM_TICKS = 10
/** Of struct sockaddr_in6. */
const SOURCE_WORDS = 7

export class LoudMembers {
  readonly #host: EndpointHost
  readonly #quietFd: number
  /** -1: there is none. */
  readonly #loudFd: number
  readonly #key: SteeringKey
  readonly #loud: number[] = []
  readonly #candidate = new Int32Array(SOURCE_WORDS)
  readonly #candidateBytes = new Uint8Array(this.#candidate.buffer)
  readonly #sourceWords: number
  #votes = 0
  #calmTicks = 0
  #overflows: number

  /** `addressLength`: of a raw address of the group's family. */
  constructor(host: EndpointHost, quietFd: number, loudFd: number, addressLength: number) {
    this.#host = host
    this.#quietFd = quietFd
    this.#loudFd = loudFd
    this.#sourceWords = addressLength >> 2
    const family = addressLength === SOCKADDR_IN ? 4 : 6
    this.#key = { family, kind: 'address-and-port', seed: randomBytes(4).readInt32LE() }
    this.#overflows = this.#lost()
  }

  /** All members are quiet at first. */
  watch(endpoint: Endpoint): void {
    this.#host.watch(endpoint, this.#quietFd)
    if (this.#loudFd < 0) return
    this.#divert()
    this.#host.watch(endpoint, this.#loudFd)
  }

  unwatch(): void {
    this.#host.unwatch(this.#quietFd)
    if (this.#loudFd >= 0) this.#host.unwatch(this.#loudFd)
  }

  /** After a read of `count` datagrams. */
  heard(fd: number, { nameWords }: MessageVector, count: number): void {
    if (fd === this.#loudFd) {
      this.#calmTicks = 0
      return
    }
    if (count < BATCH || this.#loudFd < 0) return
    let isCandidate = true
    // The last words of an IPv4 address are padding, which the kernel leaves zero.
    for (let i = 0; i < this.#sourceWords; i++) if (this.#candidate[i] !== nameWords[i]) isCandidate = false
    if (isCandidate) this.#votes++
    else if (this.#votes > 0) this.#votes--
    else {
      for (let i = 0; i < this.#sourceWords; i++) this.#candidate[i] = nameWords[i]
      this.#votes = 1
    }
    if (this.#votes >= VOTES) this.#setApart()
  }

  /** About once a second. Returns how many datagrams the kernel threw away since the last time. */
  tick(): number {
    const before = this.#overflows
    this.#overflows = this.#lost()
    if (this.#loud.length > 0 && ++this.#calmTicks > CALM_TICKS) {
      this.#loud.length = 0
      this.#divert()
    }
    return (this.#overflows - before) >>> 0
  }

  #setApart(): void {
    this.#votes = 0
    this.#calmTicks = 0
    const digest = digestOf(this.#candidateBytes.subarray(0, this.#sourceWords << 2), this.#key)
    // What it sent before it was set apart may still come in batches.
    if (this.#loud.includes(digest)) return
    if (this.#loud.length >= MAX_LOUD) this.#loud.shift()
    this.#loud.push(digest)
    this.#divert()
  }

  /** Between the two calls some datagrams of loud members are lost; none comes twice. */
  #divert(): void {
    const { layout } = this.#host.os
    const quiet = () => admit(layout, this.#quietFd, this.#key, 'all-but', this.#loud)
    if (this.#loud.length > 0) quiet()
    admit(layout, this.#loudFd, this.#key, 'only', this.#loud)
    if (this.#loud.length === 0) quiet()
  }

  #lost(): number {
    const { layout } = this.#host.os
    const loud = this.#loudFd < 0 ? 0 : receiveOverflows(layout, this.#loudFd)
    return (receiveOverflows(layout, this.#quietFd) + loud) >>> 0
  }
}
