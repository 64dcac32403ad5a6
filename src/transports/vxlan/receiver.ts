/**
 * The way in: the same sockets for all networks on an address, since the port is the fabric's and the VNI tells
 * networks apart. Which of the sockets a datagram comes by, its remote decides (receive-lanes.ts).
 *
 * Every network is an endpoint of its own, and a descriptor has one endpoint that reads it. So the first network on a
 * socket reads for all of them; when it goes, the next one does. Datagrams that belong to none are counted by the one
 * that reads.
 *
 * A datagram is received eight bytes before the slot's place for frames, in the headroom: so the frame lies where
 * frames lie.
 */
import type { Endpoint, EndpointHost } from '../../dataplane/endpoint.js'
import { BATCH, type ReceiveBatch } from '../../dataplane/receive-batch.js'
import { MessageVector } from '../../os/message-vector.js'
import { SOCKADDR_UN_STORAGE } from '../../os/sockaddr-un.js'
import { VXLAN_HEADER_SIZE, vniOf } from '../../wire/vxlan.js'
import { ReceiveLanes } from '../receive-lanes.js'

const NAME_WORDS = SOCKADDR_UN_STORAGE >> 2

/** One network, as its socket sees it. */
export interface Network extends Endpoint {
  readonly vni: number
  /** Row of its counters. */
  readonly index: number
  /**
   * The port that a frame came by, at `offset` in the pool; -1 when its sender is not one of ours, which is counted.
   * The sender is the `nameLength` bytes at word `name` of the vector's names, its port number set to zero. `now` in
   * milliseconds.
   */
  accept(
    vector: MessageVector,
    i: number,
    name: number,
    nameLength: number,
    offset: number,
    length: number,
    now: number,
  ): number
}

export class VxlanReceiver {
  static readonly #byHost = new WeakMap<EndpointHost, Map<number, VxlanReceiver>>()

  readonly #host: EndpointHost
  readonly #fd: number
  /** Knows the remotes of all networks. */
  readonly lanes: ReceiveLanes
  readonly #networks = new Map<number, Network>()
  readonly #vector: MessageVector
  readonly #placed: Int32Array
  #reader: Network | null = null
  #last: Network | null = null

  /** The receiver of these sockets; the networks on them share one. */
  static of(host: EndpointHost, fds: readonly number[]): VxlanReceiver {
    const [fd] = fds
    const receivers = VxlanReceiver.#byHost.get(host) ?? new Map<number, VxlanReceiver>()
    VxlanReceiver.#byHost.set(host, receivers)
    const receiver = receivers.get(fd) ?? new VxlanReceiver(host, fds)
    receivers.set(fd, receiver)
    return receiver
  }

  private constructor(host: EndpointHost, fds: readonly number[]) {
    this.#host = host
    this.#fd = fds[0]
    this.lanes = new ReceiveLanes(host, fds, 'address')
    this.#vector = new MessageVector(host.os.layout, BATCH, true)
    this.#placed = new Int32Array(BATCH).fill(-1)
  }

  add(network: Network): void {
    this.#networks.set(network.vni, network)
    if (this.#reader === null) this.#read(network)
  }

  remove(network: Network): void {
    this.#networks.delete(network.vni)
    if (this.#last === network) this.#last = null
    if (this.#reader !== network) return
    this.lanes.unwatch()
    this.#reader = null
    const [next] = this.#networks.values()
    if (next !== undefined) this.#read(next)
    else VxlanReceiver.#byHost.get(this.#host)?.delete(this.#fd)
  }

  receive(fd: number, batch: ReceiveBatch): number {
    const vector = this.#vector
    this.lanes.refresh(this.#host.now())
    const { pool, os } = this.#host
    const { offset } = batch
    for (let i = 0; i < offset.length; i++) {
      if (this.#placed[i] === offset[i]) continue
      this.#placed[i] = offset[i]
      const address = pool.address + offset[i] - VXLAN_HEADER_SIZE
      vector.setBuffer(i, address, pool.capacity + VXLAN_HEADER_SIZE)
    }
    const count = os.receiveMessages(fd, vector, offset.length)
    if (count <= 0) return 0
    this.lanes.heard(fd, vector)
    const now = this.#host.now() | 0
    for (let i = 0; i < count; i++) {
      batch.length[i] = Math.max(0, vector.length(i) - VXLAN_HEADER_SIZE)
      batch.port[i] = this.#sort(i, offset[i], vector.length(i), now)
    }
    vector.resetNames(count)
    return count
  }

  /** What the kernel lost, counted once for all networks. */
  tick(network: Network): void {
    if (network !== this.#reader) return
    const lost = this.lanes.tick(this.#host.now())
    if (lost > 0) this.#host.countDrop(network.index, 'receive-buffer', lost)
  }

  #sort(i: number, offset: number, length: number, now: number): number {
    const vector = this.#vector
    const vni = length < VXLAN_HEADER_SIZE ? -1 : vniOf(this.#host.pool.bytes, offset - VXLAN_HEADER_SIZE)
    if (vni < 0) return this.#refuse('tunnel-header')
    const network = this.#last?.vni === vni ? this.#last : this.#networks.get(vni)
    if (network === undefined) return this.#refuse('unknown-vni')
    this.#last = network
    const name = i * NAME_WORDS
    // The port of a VTEP's datagrams follows the inner flow; it says nothing of who sent them.
    vector.nameWords[name] &= 0xffff
    try {
      return network.accept(vector, i, name, vector.nameLength(i), offset, length - VXLAN_HEADER_SIZE, now)
    } catch (error) {
      // A fault of that network, not of the one that reads for all.
      this.#host.failed(network, error)
      return -1
    }
  }

  #read(network: Network): void {
    this.#reader = network
    this.lanes.watch(network)
  }

  #refuse(reason: 'tunnel-header' | 'unknown-vni'): number {
    this.#host.countDrop((this.#reader as Network).index, reason)
    return -1
  }
}
