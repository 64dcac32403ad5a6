/**
 * Receive queues for the peers of one UDP address, so that a peer that floods fills its own queue and not that of the
 * others.
 *
 * The kernel has one queue for a socket. What it throws away when the queue is full it chooses by when it came, so
 * beside a flooder nearly all of everyone's datagrams are lost, before the switch has seen them; no order of reading
 * helps. So there are several sockets on the address, the *lanes*, and a program in the kernel that chooses by the
 * source (os/steering.ts). The engine reads one batch of each lane that has something in a turn, and that is the
 * fairness.
 *
 * Lane 0 is the *door*: every source that is not a peer comes by it, whatever it sends. Each peer gets one of the other
 * lanes, the one with the fewest peers; so as long as there are no more peers than lanes, each has its own. When a lane
 * that peers share loses datagrams, the peer that was heard in it last, which is nearly always the one that floods it,
 * keeps the lane, and the others move to quieter ones. That is looked at once a second.
 *
 * A lane says nothing of who sent a datagram: the source of each is looked up, by whatever lane it came. So it does no
 * harm that some come by another one for a moment, before a program is attached. A peer that gets its lane while frames
 * of it wait in the door may have a few of them overtaken.
 *
 * Where the kernel has no such programs (macOS) there is one lane, and a flooder can push out others.
 */
import { randomBytes } from 'node:crypto'
import type { Endpoint, EndpointHost } from '../dataplane/endpoint.js'
import type { MessageVector } from '../os/message-vector.js'
import { SOCKADDR_IN } from '../os/sockaddr-in.js'
import { digestOf, type SourceKind, type SteeringKey, steer } from '../os/steering.js'
import { receiveOverflows } from '../os/udp-socket.js'

/** Peers come in floods, too; the program is made anew at most so often. Milliseconds. */
const STEER_EVERY_MS = 20
/** Of struct sockaddr_in6. */
const SOURCE_WORDS = 7

interface Lane {
  readonly fd: number
  members: number
  overflows: number
  /** It lost datagrams since the last look. */
  isFull: boolean
  /** Who sent the first datagram of the last batch, raw; kept where peers share the lane. */
  readonly source: Int32Array
  sourceLength: number
}

interface Member {
  readonly digest: number
  lane: number
  /** Networks that know it. */
  users: number
}

export class ReceiveLanes {
  readonly #host: EndpointHost
  readonly #lanes: readonly Lane[]
  readonly #laneOf = new Map<number, Lane>()
  readonly #kind: SourceKind
  readonly #seed = randomBytes(4).readInt32LE()
  /** By digest. */
  readonly #members = new Map<number, Member>()
  #key: SteeringKey | null = null
  #isDirty = false
  #steerAt = 0

  /** `fds`: the door, then the others in the order in which they were bound. */
  constructor(host: EndpointHost, fds: readonly number[], kind: SourceKind) {
    this.#host = host
    this.#kind = kind
    this.#lanes = fds.map(fd => ({
      fd,
      members: 0,
      overflows: receiveOverflows(host.os.layout, fd),
      isFull: false,
      source: new Int32Array(SOURCE_WORDS),
      sourceLength: 0,
    }))
    for (const lane of this.#lanes) this.#laneOf.set(lane.fd, lane)
  }

  watch(endpoint: Endpoint): void {
    for (const { fd } of this.#lanes) this.#host.watch(endpoint, fd)
  }

  unwatch(): void {
    for (const { fd } of this.#lanes) this.#host.unwatch(fd)
  }

  /** A peer with this raw address. */
  add(address: Uint8Array): void {
    if (this.#lanes.length < 2 || address.length === 0) return
    this.#key ??= { family: address.length === SOCKADDR_IN ? 4 : 6, kind: this.#kind, seed: this.#seed }
    const digest = digestOf(address, this.#key)
    const known = this.#members.get(digest)
    if (known !== undefined) {
      known.users++
      return
    }
    const member: Member = { digest, lane: 0, users: 1 }
    this.#members.set(digest, member)
    this.#place(member, -1)
  }

  remove(address: Uint8Array): void {
    if (this.#key === null || address.length === 0) return
    const digest = digestOf(address, this.#key)
    const member = this.#members.get(digest)
    if (member === undefined || --member.users > 0) return
    this.#members.delete(digest)
    this.#lanes[member.lane].members--
    this.#isDirty = true
  }

  /** Before each read. */
  refresh(now: number): void {
    if (this.#isDirty && now >= this.#steerAt) this.#steer(now)
  }

  /** After each read that brought something. */
  heard(fd: number, vector: MessageVector): void {
    const lane = this.#laneOf.get(fd) as Lane
    if (lane.members < 2) return
    for (let i = 0; i < SOURCE_WORDS; i++) lane.source[i] = vector.nameWords[i]
    lane.sourceLength = vector.nameLength(0)
  }

  /** About once a second. Returns how many datagrams the kernel threw away since the last time. */
  tick(now: number): number {
    let lost = 0
    for (const lane of this.#lanes) {
      const overflows = receiveOverflows(this.#host.os.layout, lane.fd)
      const lostHere = (overflows - lane.overflows) >>> 0
      lane.overflows = overflows
      lane.isFull = lostHere > 0
      lost += lostHere
    }
    if (lost > 0) for (let i = 1; i < this.#lanes.length; i++) this.#separate(i)
    this.refresh(now)
    return lost
  }

  #separate(index: number): void {
    const { isFull, members, source, sourceLength } = this.#lanes[index]
    if (!isFull || members < 2 || this.#key === null || sourceLength === 0) return
    const loudest = digestOf(new Uint8Array(source.buffer, 0, sourceLength), this.#key)
    for (const member of this.#members.values()) {
      if (member.lane === index && member.digest !== loudest) this.#place(member, index)
    }
  }

  /** Into the lane with the fewest members, one that loses nothing before one that does; from a lane, or -1. */
  #place(member: Member, from: number): void {
    let best = -1
    for (let i = 1; i < this.#lanes.length; i++) {
      if (i === from) continue
      const lane = this.#lanes[i]
      const other = this.#lanes[best] as Lane | undefined
      if (other === undefined || (lane.isFull === other.isFull ? lane.members < other.members : other.isFull)) best = i
    }
    if (best < 0) return
    if (from >= 0) this.#lanes[from].members--
    this.#lanes[best].members++
    member.lane = best
    this.#isDirty = true
  }

  /** When the kernel refuses the program it keeps the one before; peers that are new come by the door then. */
  #steer(now: number): void {
    this.#isDirty = false
    this.#steerAt = now + STEER_EVERY_MS
    const rules = Array.from(this.#members.values(), ({ digest, lane }) => ({ digest, socket: lane }))
    if (this.#key !== null) steer(this.#host.os.layout, this.#lanes[0].fd, this.#key, rules)
  }
}
