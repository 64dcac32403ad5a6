/**
 * fd: a connected socket that whoever started the switch left open. The main thread's half, for datagrams and streams.
 */
import type { FdConfig } from '../../config/config.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import { OperatorError } from '../../errors.js'
import { disinherit, isInherited } from '../../os/inheritance.js'
import type { Layout } from '../../os/layout.js'
import { nonBlocking } from '../../os/libc.js'
import * as streams from '../../os/stream-socket.js'
import { closeSocket, sizeSocketBuffers } from '../../os/unix-socket.js'
import { SOCKET_BUFFER_BYTES } from '../open-udp.js'
import { BUFFER_BYTES, commonOptions, type StreamContext } from '../stream/common-options.js'
import { type GivenOptions, STREAM, type StreamUpcall } from '../stream/options.js'
import { prepareSocket } from '../stream/socket-options.js'
import type { Facts, Transport } from '../transport.js'
import { CONNECTED_DATAGRAMS, type ConnectedDatagramsOptions } from './options.js'

/** As the stream transport's, where nothing else is said. */
const KEEP_ALIVE_SECONDS = 15

export async function openFd(config: FdConfig, context: StreamContext): Promise<FdTransport> {
  const { fd } = config
  const { layout } = context.os
  if (!isInherited(fd)) {
    throw new OperatorError(`descriptor ${fd} was not open when the switch started; one can only be inherited then`)
  }
  const kind = streams.socketKind(layout, fd)
  if (kind === undefined) throw new OperatorError(`descriptor ${fd} is not an open datagram or stream socket`)
  if (!kind.connected) {
    const advice = kind.listening ? 'it listens; use a stream transport with listen' : 'connect it first'
    throw new OperatorError(`descriptor ${fd} is a socket that is not connected; ${advice}`)
  }
  nonBlocking(fd, layout.constants.O_NONBLOCK)
  if (streams.isInternet(layout, fd)) prepareInternet(layout, fd, kind.stream)
  return new FdTransport(config, context, kind.stream)
}

export class FdTransport implements Transport<FdConfig> {
  config: FdConfig
  readonly #context: StreamContext
  readonly #isStream: boolean
  /** False once its peer has gone: what it was cannot come back. */
  #open = true

  constructor(config: FdConfig, context: StreamContext, isStream: boolean) {
    this.config = config
    this.#context = context
    this.#isStream = isStream
  }

  get where(): string {
    return `descriptor ${this.config.fd}`
  }

  facts(): Facts {
    return { socket: this.#isStream ? 'stream' : 'datagram', connected: this.#open }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const { config } = this
    const common = commonOptions({ ...config, keepAliveSeconds: KEEP_ALIVE_SECONDS })
    const peer = this.where
    if (this.#isStream) {
      const given = { id: 1, fd: this.#open ? config.fd : -1, portName: config.name, peer }
      const options: GivenOptions = { ...common, mode: 'given', connections: [given] }
      return { name: config.name, kind: STREAM, index, options }
    }
    const { policy, staticAddresses } = common
    const options: ConnectedDatagramsOptions = { fd: config.fd, peer, policy, staticAddresses }
    return { name: config.name, kind: CONNECTED_DATAGRAMS, index, options }
  }

  message(message: EndpointMessage): void {
    const upcall = message as unknown as StreamUpcall
    if (upcall.type !== 'ended' || !this.#open) return
    this.close()
    this.#context.report({ level: 'warn', event: 'disconnected', message: `${this.where} is over: ${upcall.reason}` })
  }

  canBecome(config: FdConfig): boolean {
    return JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: FdConfig): void {
    this.config = config
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    closeSocket(this.config.fd)
    disinherit(this.config.fd)
  }
}

/** As sockets that we open ourselves: nothing waits for company, a peer that vanished is noticed, bursts have room. */
function prepareInternet(layout: Layout, fd: number, isStream: boolean): void {
  if (isStream) prepareSocket(layout, fd, { bufferBytes: BUFFER_BYTES, keepAliveSeconds: KEEP_ALIVE_SECONDS })
  else sizeSocketBuffers(layout, fd, SOCKET_BUFFER_BYTES, SOCKET_BUFFER_BYTES)
}

function rigid({ fd, framing, port }: FdConfig): unknown {
  return [fd, framing, port.fdb.static]
}
