/**
 * Many VMs on one socket path: the data plane's half.
 *
 * A peer is known by the address its socket is bound to; every datagram carries it. The first one makes the peer a port, so a
 * guest that never sends is not reachable. A sender without an address cannot be answered and is counted, not served.
 *
 * Clients that connect to us (vfkit, libkrun) hear only the socket they connected to, whose send buffer would be shared
 * by all of them: one that stops reading would fill it and stall the rest. So the first frame of such a client starts a
 * *handover*: the socket is its from now on, and a new one takes its place at the path; what accept(2) does for streams. Two
 * clients that connect before the first of them sends share a socket; that is why it is not connected back to either, which would
 * shut the other out. A socket that was replaced stays open while it has peers, and RETIRE_MS longer for a client that
 * connected in that moment and has been silent since.
 *
 * A peer that is gone keeps its place (id, counters) in case it comes back on the same address, until the place is needed.
 */
import { randomBytes } from 'node:crypto'
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import type { ReceiveBatch } from '../../dataplane/receive-batch.js'
import type { EndpointDropReason } from '../../dataplane/shared-memory.js'
import { decodeUnixAddress, SOCKADDR_UN_STORAGE } from '../../os/sockaddr-un.js'
import { DatagramSender } from '../datagram-sender.js'
import { PeerTable } from '../peer-table.js'
import { type SendFault, unixFaults } from '../send-fault.js'
import {
  isHandshake,
  type ManyPeersOptions,
  type PeerRestore,
  UNIXGRAM,
  type UnixgramDowncall,
  type UnixgramUpcall,
} from './options.js'
import { Peer } from './peer.js'

/** Five minutes: longer than a guest takes from its launcher's connect to its first frame. */
const RETIRE_MS = 300_000
/** Peers probed in one tick; the rest follow in the next. */
const PROBES_PER_TICK = 128

interface Listening {
  fd: number
  generation: number
  handedOver: boolean
  /** When a newer socket took the path. */
  replacedAt: number
}

export class ManyPeersEndpoint implements Endpoint {
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: ManyPeersOptions
  readonly #sender: DatagramSender
  readonly #faultOf: SendFault
  readonly #table = new PeerTable<Peer>(randomBytes(4).readInt32LE())
  readonly #peers: Peer[] = []
  readonly #peerOf: (Peer | null)[] = []
  readonly #listening: Listening[] = []
  #maxPeers: number
  #probeNext = 0

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as ManyPeersOptions
    this.#maxPeers = this.#options.maxPeers
    this.#sender = new DatagramSender(host.os, host.pool)
    this.#faultOf = unixFaults(host.os.layout)
  }

  open(): void {
    for (const socket of this.#options.sockets) this.#listen(socket.fd, socket.generation)
    for (const port of this.#spec.ports) {
      const restore = port.restore as PeerRestore | null
      if (restore === null) continue
      const peer = new Peer(restore.address)
      peer.ownFd = restore.ownFd
      peer.generation = restore.generation
      peer.listeningFd = this.#fdOf(restore.generation)
      peer.up = port.up
      peer.port = port.index
      this.#host.restorePort(this, this.#describe(port.name), port.index)
      this.#enter(peer)
      if (port.up) this.#host.portRestored(port.index)
    }
  }

  receive(fd: number, batch: ReceiveBatch): number {
    const { vector } = batch
    const count = this.#host.os.receiveMessages(fd, vector, batch.length.length)
    if (count <= 0) return 0
    const names = vector.nameWords
    for (let i = 0; i < count; i++) {
      const nameLength = vector.nameLength(i)
      let peer = this.#table.find(names, i * (SOCKADDR_UN_STORAGE >> 2), nameLength)
      if (peer === null || !peer.up) peer = this.#join(peer, fd, vector.name(i))
      else if (peer.listeningFd !== fd && peer.ownFd < 0) this.#follow(peer, fd)
      const length = vector.length(i)
      batch.length[i] = length
      batch.port[i] = peer === null || this.#swallow(batch, i) ? -1 : peer.port
    }
    vector.resetNames(count)
    return count
  }

  transmit(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const peer = this.#peerOf[port] as Peer
    if (peer.ownFd >= 0) return this.#sender.send(peer.ownFd, offsets, lengths, first, count)
    return this.#sender.sendTo(peer.listeningFd, peer.memory, peer.address.length, offsets, lengths, first, count)
  }

  fault(port: number, errno: number): Fault {
    const fault = this.#faultOf(errno)
    const peer = this.#peerOf[port] as Peer
    const { ECONNREFUSED, ENOTCONN } = this.#host.os.layout.errno
    // A VM that restarted has bound a new socket to its path; the old one is dead, and the own socket still tied to it.
    if ((errno === ECONNREFUSED || errno === ENOTCONN) && peer.ownFd >= 0) {
      if (peer.reach(this.#host.os, this.#options.sendBufferBytes) === 'own') return Fault.retry
    }
    return fault
  }

  gone(port: number): void {
    this.#leave(this.#peerOf[port] as Peer)
  }

  egressDescriptor(port: number): number {
    const { platform } = this.#host.os.layout
    if (platform === 'darwin') return -1
    const peer = this.#peerOf[port] as Peer
    // By address, the kernel refuses for want of send buffer only (no queue limit towards a socket that is connected to us),
    // and that it reports truthfully.
    return peer.ownFd >= 0 ? peer.ownFd : peer.listeningFd
  }

  tick(now: number): void {
    const probes = Math.min(PROBES_PER_TICK, this.#peers.length)
    for (let i = 0; i < probes; i++) {
      this.#probeNext = this.#probeNext + 1 < this.#peers.length ? this.#probeNext + 1 : 0
      const peer = this.#peers[this.#probeNext]
      if (peer.up) this.#probe(peer)
    }
    this.#retire(now)
  }

  message(message: EndpointMessage): void {
    const downcall = message as unknown as UnixgramDowncall
    if (downcall.type === 'max-peers') {
      this.#maxPeers = downcall.maxPeers
      return
    }
    const { fd, generation } = downcall.socket
    const known = this.#listening.find(socket => socket.generation === generation)
    if (known !== undefined) {
      // No new socket could be made; the next client asks again.
      known.handedOver = false
      return
    }
    for (const socket of this.#listening) socket.replacedAt ||= this.#host.now()
    this.#listen(fd, generation)
  }

  close(): void {
    for (const peer of [...this.#peers]) this.#forget(peer)
    for (const { fd } of this.#listening) this.#host.unwatch(fd)
  }

  #listen(fd: number, generation: number): void {
    this.#listening.push({ fd, generation, handedOver: false, replacedAt: 0 })
    this.#host.watch(this, fd)
  }

  /** A datagram from an address that has no port, or one that is down. Returns the peer, up, or null when it is not served. */
  #join(known: Peer | null, fd: number, address: Uint8Array): Peer | null {
    const { os } = this.#host
    const label = decodeUnixAddress(os.layout, address)
    if (label === undefined) return this.#refuse('unbound')
    const peer = known ?? new Peer(address)
    peer.generation = this.#generationOf(fd)
    peer.listeningFd = fd
    const way = peer.reach(os, this.#options.sendBufferBytes)
    // It sent and ended before we came to read.
    if (way === 'gone') return this.#refuse('peer-gone')
    if (known === null && !this.#makePort(peer)) {
      peer.release()
      return this.#refuse('peer-limit')
    }
    if (way === 'shared') this.#handOver(peer.generation)
    peer.up = true
    const descriptors = peer.ownFd >= 0 ? [peer.ownFd] : []
    this.#host.portUp(peer.port, { peer: label, restore: this.#restore(peer), descriptors })
    return peer
  }

  /** A client that was started again before anybody noticed hears the socket it connected to now, and no other. */
  #follow(peer: Peer, fd: number): void {
    const generation = this.#generationOf(fd)
    // What its predecessor left behind in an older socket says nothing.
    if (generation < peer.generation) return
    peer.generation = generation
    peer.listeningFd = fd
    this.#handOver(generation)
    const label = decodeUnixAddress(this.#host.os.layout, peer.address) as string
    this.#host.portUp(peer.port, { peer: label, restore: this.#restore(peer), descriptors: [] })
  }

  #makePort(peer: Peer): boolean {
    if (this.#peers.length >= this.#maxPeers && !this.#makePlace()) return false
    const number = this.#host.nextPortNumber(this.#spec.index)
    peer.port = this.#host.addPort(this, this.#describe(`${this.#spec.name}:${number}`))
    if (peer.port < 0) return false
    this.#enter(peer)
    return true
  }

  /** Forgets the peer that has been gone longest; false when all are up. */
  #makePlace(): boolean {
    let oldest: Peer | undefined
    for (const peer of this.#peers) {
      if (!peer.up && (oldest === undefined || peer.downSince < oldest.downSince)) oldest = peer
    }
    if (oldest !== undefined) this.#forget(oldest)
    return oldest !== undefined
  }

  #enter(peer: Peer): void {
    this.#peers.push(peer)
    this.#peerOf[peer.port] = peer
    this.#table.add(peer.address, peer)
  }

  #forget(peer: Peer): void {
    this.#host.removePort(peer.port)
    peer.release()
    this.#table.remove(peer)
    this.#peers.splice(this.#peers.indexOf(peer), 1)
    this.#peerOf[peer.port] = null
  }

  #leave(peer: Peer): void {
    if (!peer.up) return
    peer.up = false
    peer.downSince = this.#host.now()
    // First down, then close: the own socket may be watched.
    this.#host.portDown(peer.port, {
      peer: null,
      restore: { address: peer.address, ownFd: -1, generation: peer.generation } satisfies PeerRestore,
    })
    peer.release()
  }

  /** A VM that ended without a word is noticed here, within a second, even when nobody sends to it. */
  #probe(peer: Peer): void {
    const hadOwn = peer.ownFd >= 0
    const way = peer.reach(this.#host.os, this.#options.sendBufferBytes)
    if (way === 'gone' || hadOwn !== (way === 'own')) this.#leave(peer)
  }

  #handOver(generation: number): void {
    const socket = this.#listening.find(each => each.generation === generation)
    if (socket === undefined || socket.handedOver) return
    socket.handedOver = true
    this.#upcall({ type: 'handover', generation })
  }

  #retire(now: number): void {
    for (const socket of [...this.#listening]) {
      if (socket.replacedAt === 0 || now - socket.replacedAt < RETIRE_MS) continue
      if (this.#peers.some(peer => peer.up && peer.ownFd < 0 && peer.generation === socket.generation)) continue
      this.#host.unwatch(socket.fd)
      this.#listening.splice(this.#listening.indexOf(socket), 1)
      this.#upcall({ type: 'release', generation: socket.generation })
    }
  }

  #upcall(upcall: UnixgramUpcall): void {
    this.#host.send(this.#spec.name, { ...upcall })
  }

  #refuse(reason: EndpointDropReason): null {
    this.#host.countDrop(this.#spec.index, reason)
    return null
  }

  #swallow(batch: ReceiveBatch, i: number): boolean {
    if (!isHandshake(this.#host.pool.bytes, batch.offset[i], batch.length[i])) return false
    this.#host.countDrop(this.#spec.index, 'handshake')
    return true
  }

  #generationOf(fd: number): number {
    return this.#listening.find(socket => socket.fd === fd)?.generation ?? 0
  }

  #fdOf(generation: number): number {
    for (const socket of this.#listening) if (socket.generation === generation) return socket.fd
    return -1
  }

  #restore(peer: Peer): PeerRestore {
    return { address: peer.address, ownFd: peer.ownFd, generation: peer.generation }
  }

  #describe(name: string): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name, transport: this.#spec.name, kind: UNIXGRAM, policy, staticAddresses }
  }
}
