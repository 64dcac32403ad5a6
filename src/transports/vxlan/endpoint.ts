/**
 * One VXLAN network (RFC 7348) as one port: the data plane's half.
 *
 * Behind the port are remotes, each an IP address: those that are configured, and those that are learned from datagrams
 * of allowed sources. Frames for an address that is known go to the remote it was seen at, all others to every remote.
 * What comes from a remote is never sent to another: the switch sends nothing back out of the port it came by. So every
 * remote must reach every other by itself, as in any VXLAN without a hub.
 *
 * The port is up while there is a remote.
 */
import { randomBytes } from 'node:crypto'
import type { EndpointHost, EndpointPort, Fault } from '../../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import type { ReceiveBatch } from '../../dataplane/receive-batch.js'
import type { MessageVector } from '../../os/message-vector.js'
import { NativeMemory } from '../../os/native-memory.js'
import { ipOffset } from '../../os/sockaddr-in.js'
import { SOCKADDR_UN_STORAGE } from '../../os/sockaddr-un.js'
import { HEADER_SIZE } from '../../wire/ethernet.js'
import { type IpPrefix, inIpPrefix } from '../../wire/ip-prefix.js'
import { PeerTable } from '../peer-table.js'
import { inetFaults, type SendFault } from '../send-fault.js'
import {
  type RemoteSettings,
  VXLAN,
  type VxlanDowncall,
  type VxlanOptions,
  type VxlanRestore,
  type VxlanUpcall,
} from './options.js'
import { type Network, VxlanReceiver } from './receiver.js'
import { RemoteTable } from './remote-table.js'
import { VxlanSender } from './sender.js'

/** Configured and learned ones together. */
export const MAX_REMOTES = 1024

const PEER_LIMIT =
  'remotes are refused and hear nothing, because all places for learned remotes are taken: raise maxRemotes, or allow fewer sources'

class Remote {
  /** As configured; null for one that was learned. */
  readonly key: string | null
  /** Raw, with the port that datagrams go to. */
  address: Uint8Array
  /** The same where the kernel can read it. */
  memory: NativeMemory
  readonly number: number
  /** Since the last tick. */
  heard = false
  heardAt = 0

  constructor(key: string | null, address: Uint8Array, number: number) {
    this.key = key
    this.number = number
    this.address = address
    this.memory = new NativeMemory(address.length)
    this.memory.bytes.set(address)
  }

  get length(): number {
    return this.address.length
  }
}

export class VxlanEndpoint implements Network {
  readonly vni: number
  readonly index: number
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: VxlanOptions
  readonly #receiver: VxlanReceiver
  readonly #sender: VxlanSender
  readonly #table: RemoteTable
  readonly #faultOf: SendFault
  /** By source address, its port number zero. */
  readonly #sources = new PeerTable<Remote>(randomBytes(4).readInt32LE())
  /** By number, with holes. */
  readonly #remotes: (Remote | null)[] = []
  readonly #present: number[] = []
  #settings: RemoteSettings
  #learned = 0
  #port = -1
  #up = false

  constructor(spec: EndpointSpec, host: EndpointHost) {
    const options = spec.options as VxlanOptions
    this.vni = options.vni
    this.index = spec.index
    this.#host = host
    this.#spec = spec
    this.#options = options
    this.#settings = options
    this.#receiver = VxlanReceiver.of(host, options.fds)
    this.#table = new RemoteTable(options.maxEntries, MAX_REMOTES, options.ageingMs, randomBytes(4).readInt32LE())
    this.#sender = new VxlanSender(
      host.os,
      host.pool,
      options.vni,
      options.sendFds,
      this.#table,
      this.#remotes,
      this.#present,
    )
    this.#faultOf = inetFaults(host.os.layout)
  }

  open(): void {
    const [restored] = this.#spec.ports
    if (restored === undefined) {
      this.#port = this.#host.needPort(this, this.#describe())
    } else {
      this.#port = restored.index
      this.#host.restorePort(this, this.#describe(), restored.index)
      const { learned } = (restored.restore ?? { learned: [] }) as VxlanRestore
      for (const address of learned) if (this.#mayLearn(address, ipOffset(address.length))) this.#add(null, address)
    }
    this.#applySettings(this.#options, restored?.up === true)
    this.#receiver.add(this)
  }

  receive(fd: number, batch: ReceiveBatch): number {
    return this.#receiver.receive(fd, batch)
  }

  accept(
    vector: MessageVector,
    i: number,
    name: number,
    nameLength: number,
    offset: number,
    length: number,
    now: number,
  ): number {
    const remote = this.#sources.find(vector.nameWords, name, nameLength) ?? this.#join(vector, i, nameLength)
    if (remote === null) return -1
    remote.heard = true
    if (length >= HEADER_SIZE) this.#table.learn(this.#host.pool.bytes, offset, remote.number, now)
    return this.#port
  }

  transmit(_port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const taken = this.#sender.transmit(offsets, lengths, first, count, this.#host.now() | 0)
    if (this.#sender.lostCopies > 0) {
      this.#host.countDrop(this.index, 'copy', this.#sender.lostCopies)
      this.#sender.lostCopies = 0
    }
    return taken
  }

  unfinished(): boolean {
    return this.#sender.unfinished
  }

  fault(_port: number, errno: number): Fault {
    return this.#faultOf(errno)
  }

  gone(): void {
    // No error of sending means that.
  }

  egressDescriptor(): number {
    return this.#host.os.layout.platform === 'darwin' ? -1 : this.#sender.blockedFd
  }

  tick(now: number): void {
    this.#receiver.tick(this)
    this.#table.age(now | 0)
    const timeoutMs = this.#settings.learn?.timeoutMs ?? 0
    for (const remote of [...this.#remotes]) {
      if (remote === null) continue
      if (remote.heard) remote.heardAt = now
      remote.heard = false
      if (remote.key !== null || now - remote.heardAt <= timeoutMs) continue
      this.#forget(remote)
      this.#tell()
    }
  }

  message(message: EndpointMessage): void {
    this.#applySettings(message as unknown as VxlanDowncall, false)
  }

  close(): void {
    this.abandon()
    this.#host.removePort(this.#port)
  }

  /** The socket is shared with other networks, and one of those reads it from now on. */
  abandon(): void {
    for (const remote of this.#remotes) if (remote !== null) this.#receiver.lanes.remove(remote.address)
    this.#receiver.remove(this)
  }

  #applySettings(settings: RemoteSettings, isRestored: boolean): void {
    this.#settings = settings
    this.#table.ageingMs = settings.ageingMs
    const configured = new Map(settings.remotes.map(({ key, address }) => [key, address]))
    for (const remote of [...this.#remotes]) {
      if (remote === null) continue
      const address = remote.key === null ? undefined : configured.get(remote.key)
      const stays =
        remote.key === null
          ? this.#mayLearn(remote.address, ipOffset(remote.length)) && !hasAddress(settings, remote.address)
          : address !== undefined && Buffer.compare(address, remote.address) === 0
      if (!stays) this.#forget(remote)
    }
    for (const { key, address } of settings.remotes) {
      if (this.#remotes.some(remote => remote?.key === key)) continue
      // Datagrams tell a remote by its IP address alone, so two names that come to stand for one address are one
      // remote.
      if (!this.#hasSource(address)) this.#add(key, address)
    }
    this.#tell(isRestored)
  }

  /** A datagram from an address that is not known. Returns a new remote, or null when it is not served. */
  #join(vector: MessageVector, i: number, nameLength: number): Remote | null {
    const at = i * SOCKADDR_UN_STORAGE
    if (!this.#mayLearn(vector.nameBytes, at + ipOffset(nameLength))) return this.#refuse('stranger')
    if (this.#learned >= (this.#settings.learn?.maxRemotes ?? 0)) return this.#refuse('peer-limit')
    const address = vector.name(i)
    new DataView(address.buffer, address.byteOffset).setUint16(2, this.#options.port)
    const remote = this.#add(null, address)
    if (remote === null) return this.#refuse('peer-limit')
    this.#tell()
    return remote
  }

  #mayLearn(bytes: Uint8Array, at: number): boolean {
    const { learn } = this.#settings
    return learn !== null && isAllowed(learn.allowed, bytes, at)
  }

  #hasSource(address: Uint8Array): boolean {
    return this.#remotes.some(
      remote => remote !== null && Buffer.compare(withoutPort(remote.address), withoutPort(address)) === 0,
    )
  }

  #add(key: string | null, address: Uint8Array): Remote | null {
    const hole = this.#remotes.indexOf(null)
    const number = hole < 0 ? this.#remotes.length : hole
    if (number >= MAX_REMOTES) return null
    const remote = new Remote(key, address, number)
    remote.heardAt = this.#host.now()
    this.#remotes[number] = remote
    this.#present.push(number)
    this.#sources.add(withoutPort(address), remote)
    this.#receiver.lanes.add(address)
    if (key === null) this.#learned++
    return remote
  }

  #forget(remote: Remote): void {
    this.#table.forget(remote.number)
    this.#sources.remove(remote)
    this.#receiver.lanes.remove(remote.address)
    this.#remotes[remote.number] = null
    this.#present.splice(this.#present.indexOf(remote.number), 1)
    if (remote.key === null) this.#learned--
  }

  /** After remotes came or went: the port's state, and who has to know. */
  #tell(isRestored = false): void {
    const learned = this.#remotes.flatMap(remote => (remote?.key === null ? [remote.address] : []))
    const restore: VxlanRestore = { learned }
    const up = this.#present.length > 0
    if (isRestored && up) this.#host.portRestored(this.#port)
    else if (up && !this.#up) this.#host.portUp(this.#port, { peer: null, restore })
    else if (!up && (this.#up || isRestored)) this.#host.portDown(this.#port, { peer: null, restore })
    else this.#host.updateRestore(this.#port, restore)
    this.#up = up
    this.#host.send(this.#spec.name, { type: 'learned', addresses: learned } satisfies VxlanUpcall)
  }

  #refuse(reason: 'stranger' | 'peer-limit'): null {
    this.#host.countDrop(this.index, reason)
    if (reason === 'peer-limit') this.#host.raise(this.#spec.name, 'peer-limit', PEER_LIMIT)
    return null
  }

  #describe(): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name: this.#spec.name, transport: this.#spec.name, kind: VXLAN, policy, staticAddresses }
  }
}

function hasAddress({ remotes }: RemoteSettings, address: Uint8Array): boolean {
  return remotes.some(remote => Buffer.compare(withoutPort(remote.address), withoutPort(address)) === 0)
}

function isAllowed(allowed: readonly IpPrefix[], bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < allowed.length; i++) if (inIpPrefix(allowed[i], bytes, at)) return true
  return false
}

function withoutPort(address: Uint8Array): Uint8Array {
  const bytes = address.slice()
  bytes[2] = 0
  bytes[3] = 0
  return bytes
}
