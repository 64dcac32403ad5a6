/**
 * Many VMs on one socket path: the data plane's half.
 *
 * A peer is known by the address its socket is bound to; every datagram carries it. The first one makes the peer a
 * port, so a guest that never sends is not reachable. A sender that cannot be answered is counted and told of, not
 * served (refusals.ts).
 *
 * Clients that connect to us (vfkit, libkrun) hear only the socket they connected to. So the first datagram of such a
 * client, its handshake, makes the socket its own, and a new one takes its place at the path (listening-sockets.ts);
 * what accept(2) does for streams. Clients that connect before the first of them was heard share a socket, and take
 * turns on it (shared-socket.ts); that is why it is not connected back to one of them, which would shut the others out.
 *
 * A peer that is gone keeps its place (id, counters) in case it comes back on the same address, until the place is
 * needed.
 */
import { randomBytes } from 'node:crypto'
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import type { ReceiveBatch } from '../../dataplane/receive-batch.js'
import type { EndpointDropReason } from '../../dataplane/shared-memory.js'
import { decodeUnixAddress, SOCKADDR_UN_STORAGE } from '../../os/sockaddr-un.js'
import * as unix from '../../os/unix-socket.js'
import { DatagramSender } from '../datagram-sender.js'
import { PeerTable } from '../peer-table.js'
import { type SendFault, unixFaults } from '../send-fault.js'
import { ListeningSockets } from './listening-sockets.js'
import {
  isHandshake,
  type ManyPeersOptions,
  type PeerRestore,
  UNIXGRAM,
  type UnixgramDowncall,
  type UnixgramUpcall,
} from './options.js'
import { type Liveness, Peer, type Reach } from './peer.js'
import { isResolvable, Refusals } from './refusals.js'
import { SharedSocket } from './shared-socket.js'

/** Peers probed in one tick; the rest follow in the next. */
const PROBES_PER_TICK = 128

export class ManyPeersEndpoint implements Endpoint {
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: ManyPeersOptions
  readonly #sender: DatagramSender
  readonly #faultOf: SendFault
  readonly #table = new PeerTable<Peer>(randomBytes(4).readInt32LE())
  readonly #peers: Peer[] = []
  readonly #peerOf: (Peer | null)[] = []
  readonly #listening: ListeningSockets
  readonly #reach: Reach
  readonly #refusals: Refusals
  #maxPeers: number
  #probeNext = 0

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as ManyPeersOptions
    this.#maxPeers = this.#options.maxPeers
    this.#sender = new DatagramSender(host.os, host.pool)
    this.#faultOf = unixFaults(host.os.layout)
    this.#refusals = new Refusals(host, spec.name, spec.index)
    const { probeFd, sendBufferBytes } = this.#options
    this.#reach = { os: host.os, share: host.descriptorShare(spec.index), probeFd, sendBufferBytes }
    const upcall = (message: UnixgramUpcall) => host.send(spec.name, { ...message })
    this.#listening = new ListeningSockets(this, host, upcall)
  }

  open(): void {
    for (const socket of this.#options.sockets) this.#listening.add(socket)
    for (const port of this.#spec.ports) {
      const restore = port.restore as PeerRestore | null
      if (restore === null) continue
      const peer = new Peer(restore.address)
      peer.ownFd = restore.ownFd
      peer.connected = restore.connected
      if (restore.ownFd >= 0) this.#reach.share.hold()
      peer.generation = restore.generation
      peer.listeningFd = this.#listening.fdOf(restore.generation)
      peer.up = port.up
      peer.port = port.index
      this.#host.restorePort(this, this.#describe(port.name), port.index)
      this.#enter(peer)
      if (port.up) this.#host.portRestored(port.index)
      this.#shareOut(peer.generation)
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
    const { shared, memory, address, listeningFd } = peer
    const admitted = shared === null ? count : shared.admit(peer.share, lengths, first, count, this.#host.now())
    if (admitted === 0) return 0
    return this.#sender.sendTo(listeningFd, memory, address.length, offsets, lengths, first, admitted)
  }

  fault(port: number, errno: number): Fault {
    const fault = this.#faultOf(errno)
    const peer = this.#peerOf[port] as Peer
    const { ECONNREFUSED, ENOTCONN, EACCES } = this.#host.os.layout.errno
    // A VM that restarted has bound a new socket to its path; the old one is dead, and the own socket still tied to it.
    if ((errno === ECONNREFUSED || errno === ENOTCONN) && peer.ownFd >= 0) {
      if (peer.reach(this.#reach, false) === 'own') return Fault.retry
    }
    if (errno === EACCES) this.#refusals.refuse('no-access', this.#labelOf(peer))
    if (fault === Fault.tooLong) this.#tellTooLong(port)
    return fault
  }

  gone(port: number): void {
    this.#leave(this.#peerOf[port] as Peer)
  }

  egressDescriptor(port: number): number {
    const { platform } = this.#host.os.layout
    if (platform === 'darwin') return -1
    const peer = this.#peerOf[port] as Peer
    if (peer.ownFd >= 0) return peer.ownFd
    // On a shared socket a peer waits for others too, of which the kernel knows nothing.
    if (peer.shared !== null) return -1
    // Towards a socket that is connected to us there is no queue limit, so the kernel refuses for want of send buffer
    // only, and reports that truthfully. Towards another it does not.
    return peer.connected ? peer.listeningFd : -1
  }

  tick(now: number): void {
    const probes = Math.min(PROBES_PER_TICK, this.#peers.length)
    for (let i = 0; i < probes; i++) {
      this.#probeNext = this.#probeNext + 1 < this.#peers.length ? this.#probeNext + 1 : 0
      const peer = this.#peers[this.#probeNext]
      if (peer.up) this.#probe(peer)
    }
    this.#listening.tick(now, generation => this.#isUsed(generation))
  }

  message(message: EndpointMessage): void {
    const downcall = message as unknown as UnixgramDowncall
    if (downcall.type === 'max-peers') {
      this.#maxPeers = downcall.maxPeers
      return
    }
    if (downcall.type === 'same-name') this.#tellSameName(downcall.paths)
    else if (downcall.type === 'socket') this.#listening.add(downcall.socket)
  }

  close(): void {
    for (const peer of [...this.#peers]) this.#forget(peer)
    this.#listening.close()
  }

  /**
   * A datagram from an address that has no port, or one that is down. Returns the peer, up, or null when it is not
   * served.
   */
  #join(known: Peer | null, fd: number, address: Uint8Array): Peer | null {
    const { layout } = this.#host.os
    const label = decodeUnixAddress(layout, address)
    if (label === undefined) return this.#refuse('unbound', '')
    if (!isResolvable(layout, address)) return this.#refuse('relative-name', label)
    // Before the peer is asked: a refused peer may send as much as it likes.
    if (known === null && !this.#hasPlace()) return this.#refuse('peer-limit', label)
    const peer = known ?? new Peer(address)
    peer.generation = this.#listening.generationOf(fd)
    peer.listeningFd = fd
    const way = peer.reach(this.#reach, true)
    if (way === 'gone') return this.#refuse('peer-gone', label)
    if (way === 'denied') return this.#refuse('no-access', label)
    if (known === null && !this.#makePort(peer)) {
      peer.release(this.#reach.share)
      return this.#refuse('peer-limit', label)
    }
    this.#serve(peer, way, label)
    return peer
  }

  #serve(peer: Peer, way: Liveness, label: string): void {
    if (way === 'shared') this.#handOff(peer.generation)
    if (way === 'addressed') {
      this.#refusals.warn(
        'descriptor-limit',
        'there are no open files left for sockets of peers, which are served more slowly: raise the limit (LimitNOFILE=, ulimit -n)',
      )
    }
    peer.up = true
    const descriptors = peer.ownFd >= 0 ? [peer.ownFd] : []
    this.#host.portUp(peer.port, { peer: label, restore: this.#restore(peer), descriptors })
    this.#shareOut(peer.generation)
  }

  /**
   * A client that was started again, before its end was noticed, hears the socket it connected to now, and no other.
   */
  #follow(peer: Peer, fd: number): void {
    const generation = this.#listening.generationOf(fd)
    // What its predecessor left behind in an older socket says nothing.
    if (generation < peer.generation) return
    const before = peer.generation
    peer.generation = generation
    peer.listeningFd = fd
    this.#shareOut(before)
    this.#shareOut(generation)
    if (peer.connected) this.#handOff(generation)
    this.#host.portUp(peer.port, { peer: this.#labelOf(peer), restore: this.#restore(peer), descriptors: [] })
  }

  #makePort(peer: Peer): boolean {
    if (this.#peers.length >= this.#maxPeers && !this.#makePlace()) return false
    const number = this.#host.nextPortNumber(this.#spec.index)
    peer.port = this.#host.addPort(this, this.#describe(`${this.#spec.name}:${number}`))
    if (peer.port < 0) return false
    this.#enter(peer)
    return true
  }

  #hasPlace(): boolean {
    return this.#peers.length < this.#maxPeers || this.#peers.some(({ up }) => !up)
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
    peer.release(this.#reach.share)
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
      restore: { ...this.#restore(peer), ownFd: -1 } satisfies PeerRestore,
    })
    peer.release(this.#reach.share)
    this.#shareOut(peer.generation)
  }

  /** Peers that one socket serves take turns on it; one that has a socket to itself does not. */
  #shareOut(generation: number): void {
    const peers = this.#peers.filter(peer => peer.up && peer.ownFd < 0 && peer.generation === generation)
    const { layout } = this.#host.os
    if (peers.length < 2 || layout.constants.SIOCOUTQ === null) {
      for (const peer of peers) peer.shared = null
      return
    }
    let shared = peers.find(peer => peer.shared !== null)?.shared ?? null
    if (shared === null) {
      const fd = this.#listening.fdOf(generation)
      unix.sizeSocketBuffers(layout, fd, this.#reach.sendBufferBytes, 0)
      shared = new SharedSocket(layout, fd)
    }
    for (const peer of peers) peer.shared = shared
    shared.shares = peers.map(peer => peer.share)
  }

  /** Notices a VM that ended without a word, within a second, also when no frame is sent to it. */
  #probe(peer: Peer): void {
    const { connected } = peer
    const way = peer.reach(this.#reach, false)
    // Another program has the path now, and is to be served another way.
    if (way === 'gone' || way === 'denied' || connected !== (way === 'shared')) this.#leave(peer)
  }

  #handOff(generation: number): void {
    if (this.#listening.handOff(generation)) return
    this.#refusals.warn(
      'handoff-limit',
      'clients connect so fast that some share a socket for a while: find the one that connects again and again',
    )
  }

  #isUsed(generation: number): boolean {
    return this.#peers.some(peer => peer.up && peer.ownFd < 0 && peer.generation === generation)
  }

  #refuse(reason: EndpointDropReason, label: string): null {
    this.#refusals.refuse(reason, label)
    return null
  }

  #tellTooLong(port: number): void {
    this.#host.raise(
      port,
      'peer-frame-size',
      'a frame is longer than the socket buffer towards this peer: raise net.core.wmem_max, or lower maxFrameSize of the port',
    )
  }

  /** Paths that several sockets of this machine are bound to. */
  #tellSameName(paths: readonly string[]): void {
    for (const peer of this.#peers) {
      if (!peer.up) continue
      const label = this.#labelOf(peer)
      if (!paths.includes(label)) this.#host.clear(peer.port, 'peer-duplicate-name')
      else {
        const message = `several programs use "${label}" for themselves, and only the one started last hears the switch: give each VM a local.path of its own`
        this.#host.raise(peer.port, 'peer-duplicate-name', message, { peer: label })
      }
    }
  }

  #labelOf(peer: Peer): string {
    return decodeUnixAddress(this.#host.os.layout, peer.address) ?? ''
  }

  #swallow(batch: ReceiveBatch, i: number): boolean {
    if (!isHandshake(this.#host.pool.bytes, batch.offset[i], batch.length[i])) return false
    this.#host.countDrop(this.#spec.index, 'handshake')
    return true
  }

  #restore(peer: Peer): PeerRestore {
    const { address, ownFd, connected, generation } = peer
    return { address, ownFd, connected, generation }
  }

  #describe(name: string): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name, transport: this.#spec.name, kind: UNIXGRAM, policy, staticAddresses }
  }
}
