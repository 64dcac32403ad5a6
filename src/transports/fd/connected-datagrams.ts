/**
 * One connected datagram socket, a frame a datagram: the data plane's half. The socket came from outside, so nothing is
 * known of how to find its peer again. When the kernel says that nobody is there the port goes down, and comes back
 * with the next frame.
 */
import { type Endpoint, type EndpointHost, type EndpointPort, Fault } from '../../dataplane/endpoint.js'
import type { EndpointSpec } from '../../dataplane/messages.js'
import type { ReceiveBatch } from '../../dataplane/receive-batch.js'
import { receiveOverflows } from '../../os/udp-socket.js'
import { DatagramSender } from '../datagram-sender.js'
import { type SendFault, unixFaults } from '../send-fault.js'
import type { ConnectedDatagramsOptions } from './options.js'

export class ConnectedDatagramsEndpoint implements Endpoint {
  readonly #host: EndpointHost
  readonly #spec: EndpointSpec
  readonly #options: ConnectedDatagramsOptions
  readonly #sender: DatagramSender
  readonly #faultOf: SendFault
  #port = -1
  #up = false
  /** As the kernel counts them. */
  #overflows: number

  constructor(spec: EndpointSpec, host: EndpointHost) {
    this.#host = host
    this.#spec = spec
    this.#options = spec.options as ConnectedDatagramsOptions
    this.#sender = new DatagramSender(host.os, host.pool)
    this.#faultOf = unixFaults(host.os.layout)
    this.#overflows = receiveOverflows(host.os.layout, this.#options.fd)
  }

  open(): void {
    const [restored] = this.#spec.ports
    this.#port = restored?.index ?? this.#host.needPort(this, this.#describe())
    if (restored !== undefined) this.#host.restorePort(this, this.#describe(), restored.index)
    if (restored?.up) {
      this.#up = true
      this.#host.portRestored(this.#port)
    } else this.#begin()
    this.#host.watch(this, this.#options.fd)
  }

  receive(fd: number, batch: ReceiveBatch): number {
    const count = this.#host.os.receiveMessages(fd, batch.nameless, batch.length.length)
    if (count > 0 && !this.#up) this.#begin()
    // Nobody has the UDP port that a frame went to: it may be told here instead of to who sends next, once.
    if (count < 0 && this.#faultOf(-count) === Fault.gone) this.gone()
    for (let i = 0; i < count; i++) {
      batch.length[i] = batch.nameless.length(i)
      batch.port[i] = this.#port
    }
    return Math.max(0, count)
  }

  transmit(_port: number, offsets: Int32Array, lengths: Int32Array, first: number, count: number): number {
    return this.#sender.send(this.#options.fd, offsets, lengths, first, count)
  }

  fault(_port: number, errno: number): Fault {
    return this.#faultOf(errno)
  }

  gone(): void {
    if (!this.#up) return
    this.#up = false
    this.#host.portDown(this.#port, { peer: null, restore: null })
  }

  egressDescriptor(): number {
    return this.#host.os.layout.platform === 'darwin' ? -1 : this.#options.fd
  }

  tick(): void {
    const overflows = receiveOverflows(this.#host.os.layout, this.#options.fd)
    const lost = (overflows - this.#overflows) >>> 0
    this.#overflows = overflows
    if (lost > 0) this.#host.countDrop(this.#spec.index, 'receive-buffer', lost)
  }

  message(): void {}

  close(): void {
    this.#host.removePort(this.#port)
    this.#host.unwatch(this.#options.fd)
  }

  #begin(): void {
    this.#up = true
    this.#host.portUp(this.#port, { peer: this.#options.peer, restore: null })
  }

  #describe(): EndpointPort {
    const { policy, staticAddresses } = this.#options
    return { name: this.#spec.name, transport: this.#spec.name, kind: 'fd', policy, staticAddresses }
  }
}
