/**
 * A multicast group as one port: the data plane's half.
 *
 * All members share the group's address, and on one machine they may share their own too: QEMU sends from the group's
 * port. So frames leave from a second socket with a port of its own. What comes back from there is ours, a copy that
 * the kernel made for the members on this machine; it is counted and not switched again.
 */
import type { Endpoint, EndpointHost, EndpointPort, Fault } from '../../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import type { ReceiveBatch } from '../../dataplane/receive-batch.js'
import { NativeMemory } from '../../os/native-memory.js'
import { SOCKADDR_UN_STORAGE } from '../../os/sockaddr-un.js'
import { inetLabel } from '../inet-text.js'
import { PeerTable } from '../peer-table.js'
import { inetFaults, type SendFault } from '../send-fault.js'
import { UdpSender } from '../udp-sender.js'
import { LoudMembers } from './loud-members.js'
import { UDP, type UdpGroupOptions } from './options.js'

export class UdpGroupEndpoint implements Endpoint {
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: UdpGroupOptions
  readonly #sender: UdpSender
  readonly #faultOf: SendFault
  readonly #group: NativeMemory
  /** Holds one address: ours. */
  readonly #own = new PeerTable<'own'>(0)
  readonly #members: LoudMembers
  #port = -1

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as UdpGroupOptions
    this.#sender = new UdpSender(host.os, host.pool)
    this.#faultOf = inetFaults(host.os.layout)
    this.#group = new NativeMemory(this.#options.group.length)
    this.#group.bytes.set(this.#options.group)
    this.#own.add(this.#options.own, 'own')
    const { fd, loudFd, group } = this.#options
    this.#members = new LoudMembers(host, fd, loudFd, group.length)
  }

  open(): void {
    const [restored] = this.#spec.ports
    if (restored === undefined) {
      this.#port = this.#host.needPort(this, this.#describe())
    } else {
      this.#port = restored.index
      this.#host.restorePort(this, this.#describe(), restored.index)
    }
    if (restored?.up) this.#host.portRestored(this.#port)
    else this.#host.portUp(this.#port, { peer: inetLabel(this.#host.os.layout, this.#options.group), restore: null })
    this.#members.watch(this)
  }

  receive(fd: number, batch: ReceiveBatch): number {
    const { vector } = batch
    const count = this.#host.os.receiveMessages(fd, vector, batch.length.length)
    if (count <= 0) return 0
    this.#members.heard(fd, vector, count)
    const names = vector.nameWords
    let own = 0
    for (let i = 0; i < count; i++) {
      const isOwn = this.#own.find(names, i * (SOCKADDR_UN_STORAGE >> 2), vector.nameLength(i)) !== null
      if (isOwn) own++
      batch.length[i] = vector.length(i)
      batch.port[i] = isOwn ? -1 : this.#port
    }
    if (own > 0) this.#host.countDrop(this.#spec.index, 'own', own)
    vector.resetNames(count)
    return count
  }

  transmit(_port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    const { sendFd, group } = this.#options
    return this.#sender.send(sendFd, this.#group, group.length, offsets, lengths, first, count)
  }

  fault(_port: number, errno: number): Fault {
    return this.#faultOf(errno)
  }

  gone(): void {
    // No error of sending to a group means that.
  }

  egressDescriptor(): number {
    return this.#host.os.layout.platform === 'darwin' ? -1 : this.#options.sendFd
  }

  tick(): void {
    const lost = this.#members.tick()
    if (lost > 0) this.#host.countDrop(this.#spec.index, 'receive-buffer', lost)
  }

  message(_message: EndpointMessage): void {
    // Nothing of a group can change while it is open.
  }

  close(): void {
    this.#members.unwatch()
    this.#host.removePort(this.#port)
  }

  #describe(): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name: this.#spec.name, transport: this.#spec.name, kind: UDP, policy, staticAddresses }
  }
}
