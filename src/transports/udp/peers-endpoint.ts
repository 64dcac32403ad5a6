/**
 * UDP with a port for each peer: the data plane's half.
 *
 * Frames leave by one socket for all. A socket for each peer, connected to it, would send 8 % faster (2.1 us against
 * 2.3 us for a datagram on loopback, kernel 6.18), and its error reports would come true to the peer; but an ICMP error
 * about one frame is then returned in place of sending another. An unconnected socket returns only what is wrong with
 * the datagram at hand. Frames come in by several sockets, so that a peer that floods takes no room from others
 * (receive-lanes.ts).
 *
 * So nothing tells when a peer has gone. A configured peer's port is up from the start and stays up. A learned peer's
 * goes down after a time of silence, and keeps its id and counters in case it comes back, until the place is needed.
 */
import { randomBytes } from 'node:crypto'
import type { Endpoint, EndpointHost, EndpointPort, Fault } from '../../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import type { ReceiveBatch } from '../../dataplane/receive-batch.js'
import { NativeMemory } from '../../os/native-memory.js'
import { ipOffset } from '../../os/sockaddr-in.js'
import { SOCKADDR_UN_STORAGE } from '../../os/sockaddr-un.js'
import { inIpPrefix } from '../../wire/ip-prefix.js'
import { inetLabel } from '../inet-text.js'
import { PeerTable } from '../peer-table.js'
import { ReceiveLanes } from '../receive-lanes.js'
import { inetFaults, type SendFault } from '../send-fault.js'
import { UdpSender } from '../udp-sender.js'
import {
  type ConfiguredPeer,
  type PeerSettings,
  UDP,
  type UdpDowncall,
  type UdpPeerRestore,
  type UdpPeersOptions,
} from './options.js'

const PEER_LIMIT =
  'peers are refused and hear nothing, because all places for learned peers are taken: raise maxPeers or switch.maxPorts, or allow fewer sources'

class Peer {
  /** As configured; null for one that was learned. */
  readonly key: string | null
  address: Uint8Array
  /** The same bytes where the kernel can read them. */
  memory: NativeMemory
  port = -1
  up = false
  /** Since the last tick. */
  heard = false
  heardAt = 0
  downSince = 0

  constructor(key: string | null, address: Uint8Array) {
    this.key = key
    this.address = address
    this.memory = new NativeMemory(address.length)
    this.memory.bytes.set(address)
  }
}

export class UdpPeersEndpoint implements Endpoint {
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: UdpPeersOptions
  readonly #sender: UdpSender
  readonly #faultOf: SendFault
  readonly #table = new PeerTable<Peer>(randomBytes(4).readInt32LE())
  readonly #peers: Peer[] = []
  readonly #peerOf: (Peer | null)[] = []
  readonly #lanes: ReceiveLanes
  #settings: PeerSettings
  #learned = 0

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as UdpPeersOptions
    this.#settings = this.#options
    this.#sender = new UdpSender(host.os, host.pool)
    this.#faultOf = inetFaults(host.os.layout)
    this.#lanes = new ReceiveLanes(host, [this.#options.fd, ...this.#options.lanes], 'address-and-port')
  }

  open(): void {
    for (const { index, name, up, restore } of this.#spec.ports) {
      const { key, address } = (restore ?? { key: null, address: new Uint8Array(0) }) as UdpPeerRestore
      this.#host.restorePort(this, this.#describe(name), index)
      const peer = new Peer(key, address)
      if (!this.#isStillWanted(peer)) {
        this.#host.removePort(index)
        continue
      }
      peer.port = index
      peer.up = up
      peer.heardAt = this.#host.now()
      this.#enter(peer)
      if (up) this.#host.portRestored(index)
    }
    this.#applySettings(this.#options)
    this.#lanes.refresh(this.#host.now())
    this.#lanes.watch(this)
  }

  receive(fd: number, batch: ReceiveBatch): number {
    const { vector } = batch
    this.#lanes.refresh(this.#host.now())
    const count = this.#host.os.receiveMessages(fd, vector, batch.length.length)
    if (count <= 0) return 0
    this.#lanes.heard(fd, vector)
    const names = vector.nameWords
    for (let i = 0; i < count; i++) {
      let peer = this.#table.find(names, i * (SOCKADDR_UN_STORAGE >> 2), vector.nameLength(i))
      if (peer === null || !peer.up) peer = this.#join(peer, batch, i)
      batch.length[i] = vector.length(i)
      batch.port[i] = peer === null ? -1 : peer.port
      if (peer !== null) peer.heard = true
    }
    vector.resetNames(count)
    return count
  }

  transmit(port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const { memory, address } = this.#peerOf[port] as Peer
    return this.#sender.send(this.#options.fd, memory, address.length, offsets, lengths, first, count)
  }

  fault(_port: number, errno: number): Fault {
    return this.#faultOf(errno)
  }

  gone(port: number): void {
    this.#leave(this.#peerOf[port] as Peer)
  }

  egressDescriptor(): number {
    return this.#host.os.layout.platform === 'darwin' ? -1 : this.#options.fd
  }

  tick(now: number): void {
    const lost = this.#lanes.tick(now)
    if (lost > 0) this.#host.countDrop(this.#spec.index, 'receive-buffer', lost)
    const timeoutMs = this.#settings.learn?.timeoutMs ?? 0
    for (const peer of this.#peers) {
      if (peer.heard) peer.heardAt = now
      peer.heard = false
      if (peer.key === null && peer.up && now - peer.heardAt > timeoutMs) this.#leave(peer)
    }
  }

  message(message: EndpointMessage): void {
    this.#applySettings(message as unknown as UdpDowncall)
  }

  close(): void {
    this.#lanes.unwatch()
    for (const peer of this.#peers) this.#host.removePort(peer.port)
  }

  #applySettings(settings: PeerSettings): void {
    this.#settings = settings
    for (const peer of [...this.#peers]) if (!this.#isStillWanted(peer)) this.#forget(peer)
    // Two peers may exchange addresses; so first all lose theirs.
    const moved = settings.peers.flatMap(configured => {
      const peer = this.#peers.find(({ key }) => key === configured.key)
      return peer === undefined || sameBytes(peer.address, configured.address) ? [] : [{ peer, configured }]
    })
    for (const { peer } of moved) {
      this.#table.remove(peer)
      this.#lanes.remove(peer.address)
      peer.address = new Uint8Array(0)
    }
    for (const { peer, configured } of moved) this.#moveTo(peer, configured)
    for (const configured of settings.peers) {
      if (!this.#peers.some(({ key }) => key === configured.key)) this.#addConfigured(configured)
    }
  }

  /** Two names may come to stand for one address: the second waits until it stands for another. */
  #isTaken(address: Uint8Array): boolean {
    return this.#peers.some(peer => peer.key !== null && sameBytes(peer.address, address))
  }

  #addConfigured({ key, address }: ConfiguredPeer): void {
    if (this.#isTaken(address)) return
    this.#dislodge(address)
    const peer = new Peer(key, address)
    if (!this.#makePort(peer)) return
    this.#raise(peer)
  }

  #moveTo(peer: Peer, { address }: ConfiguredPeer): void {
    if (this.#isTaken(address)) {
      this.#forget(peer)
      return
    }
    this.#dislodge(address)
    peer.address = address
    peer.memory = new NativeMemory(address.length)
    peer.memory.bytes.set(address)
    this.#table.add(address, peer)
    this.#lanes.add(address)
    this.#raise(peer)
  }

  /** One that was learned by this address is a configured one now. */
  #dislodge(address: Uint8Array): void {
    const learned = this.#peers.find(peer => peer.key === null && sameBytes(peer.address, address))
    if (learned !== undefined) this.#forget(learned)
  }

  #isStillWanted({ key, address }: Peer): boolean {
    const { peers, learn } = this.#settings
    if (key !== null) return peers.some(configured => configured.key === key)
    if (learn === null || address.length === 0) return false
    return learn.allowed.some(prefix => inIpPrefix(prefix, address, ipOffset(address.length)))
  }

  /**
   * A datagram from an address that has no port, or one that is down. Returns the peer, up, or null when it is not
   * served.
   */
  #join(known: Peer | null, batch: ReceiveBatch, i: number): Peer | null {
    const { learn } = this.#settings
    const { vector } = batch
    if (known === null) {
      const at = i * SOCKADDR_UN_STORAGE + ipOffset(vector.nameLength(i))
      if (learn === null || !isAllowed(learn.allowed, vector.nameBytes, at)) return this.#refuse('stranger')
    }
    if (known === null && this.#learned >= (learn?.maxPeers ?? 0) && !this.#makePlace())
      return this.#refuse('peer-limit')
    const peer = known ?? new Peer(null, vector.name(i))
    if (known === null && !this.#makePort(peer)) return this.#refuse('peer-limit')
    peer.heardAt = this.#host.now()
    this.#raise(peer)
    return peer
  }

  #raise(peer: Peer): void {
    peer.up = true
    const restore: UdpPeerRestore = { key: peer.key, address: peer.address }
    this.#host.portUp(peer.port, { peer: inetLabel(this.#host.os.layout, peer.address), restore })
  }

  #makePort(peer: Peer): boolean {
    const { name } = this.#spec
    const portName = this.#options.single ? name : `${name}:${this.#host.nextPortNumber(this.#spec.index)}`
    peer.port = this.#host.addPort(this, this.#describe(portName))
    if (peer.port < 0) return false
    this.#enter(peer)
    return true
  }

  /** Forgets the learned peer that has been gone longest; false when all are up. */
  #makePlace(): boolean {
    let oldest: Peer | undefined
    for (const peer of this.#peers) {
      if (peer.key === null && !peer.up && (oldest === undefined || peer.downSince < oldest.downSince)) oldest = peer
    }
    if (oldest !== undefined) this.#forget(oldest)
    return oldest !== undefined
  }

  #enter(peer: Peer): void {
    if (peer.key === null) this.#learned++
    this.#peers.push(peer)
    this.#peerOf[peer.port] = peer
    this.#table.add(peer.address, peer)
    this.#lanes.add(peer.address)
  }

  #forget(peer: Peer): void {
    if (peer.key === null) this.#learned--
    this.#host.removePort(peer.port)
    this.#table.remove(peer)
    this.#lanes.remove(peer.address)
    this.#peers.splice(this.#peers.indexOf(peer), 1)
    this.#peerOf[peer.port] = null
  }

  #leave(peer: Peer): void {
    peer.up = false
    peer.downSince = this.#host.now()
    const restore: UdpPeerRestore = { key: peer.key, address: peer.address }
    this.#host.portDown(peer.port, { peer: null, restore })
  }

  #refuse(reason: 'stranger' | 'peer-limit'): null {
    this.#host.countDrop(this.#spec.index, reason)
    if (reason === 'peer-limit') this.#host.raise(this.#spec.name, 'peer-limit', PEER_LIMIT)
    return null
  }

  #describe(name: string): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name, transport: this.#spec.name, kind: UDP, policy, staticAddresses }
  }
}

function isAllowed(allowed: readonly { bytes: Uint8Array; length: number }[], bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < allowed.length; i++) if (inIpPrefix(allowed[i], bytes, at)) return true
  return false
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
