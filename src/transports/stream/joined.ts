/**
 * How what lives on Node's event loop (WebSocket clients, libslirp) joins the data plane: a socket pair for each port,
 * with frames behind their lengths. The kernel does the waiting, the waking and the back-pressure; to the data plane,
 * its end is one more stream connection, and a port.
 *
 *     JoinedPort.send --> net.Socket  ===  socket pair  ===  StreamEndpoint --> switch
 *     JoinedPort.onFrame <--'
 *
 * Both ends belong to the main thread. When the data plane is replaced and could not say how far in a frame it was, the
 * pair is replaced as well, under the same port: what was on its way is lost, as it is in the queues.
 *
 * Bounded: what `send` was given and the kernel has not taken is at most BUFFER_BYTES; then it answers false, and the
 * frame is the caller's to count. What the caller does not read (`pause`) waits in the kernel's buffer and the port's
 * queue, then is dropped and counted there.
 */
import { Socket } from 'node:net'
import type { EgressPolicy } from '../../dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import { streamPair } from '../../os/stream-socket.js'
import { closeSocket, sizeSocketBuffers } from '../../os/unix-socket.js'
import { contained, type TransportContext } from '../transport.js'
import { FrameSplitter } from './frame-splitter.js'
import { MAX_LENGTH } from './framing.js'
import { type GivenConnection, type GivenOptions, STREAM, type StreamDowncall, type StreamUpcall } from './options.js'

/**
 * Bytes that may wait in this process for the data plane. Arbitrary: many times what a turn of the event loop brings.
 */
const BUFFER_BYTES = 1024 * 1024
/** Asked for in each direction of the pair; the kernel's part of the buffer. */
const SOCKET_BYTES = 1024 * 1024
/** Frames of one turn of the event loop leave together, in pieces of this size. */
const PIECE_BYTES = 64 * 1024
const PREFIX = 4

export interface JoinedPortHandlers {
  /** A frame from the switch. It may be kept. */
  onFrame(frame: Uint8Array): void
  /** After `send` answered false: there is room again. */
  onWritable?(): void
  /** There is no place in the switch for another port: this one is closed. */
  onRefused?(reason: string): void
}

export interface JoinedPort {
  /** Name of the port: `<transport>`, or `<transport>:<n>`. */
  readonly name: string
  /**
   * Takes a copy. False when there is no room: the frame is not sent, count it. Throws RangeError for an empty frame.
   */
  send(frame: Uint8Array): boolean
  /** Bytes that wait for the data plane. */
  readonly waitingBytes: number
  /** Stops `onFrame`, until `resume`. */
  pause(): void
  resume(): void
  /** Ends the port; takes it down where it is a lasting one. Idempotent. */
  close(): void
}

export interface JoinedOptions {
  /** Name of the transport or interface. */
  name: string
  /** Kind of the ports, as people see it: `websocket`, `slirp`. */
  kind: string
  policy: EgressPolicy
  /** 48-bit numbers; only where there is one port. */
  staticAddresses?: readonly number[]
  /** Names of ports that are there before anybody opens them, and stay, with their counters, when they are closed. */
  lasting?: readonly string[]
}

/** The joined ports of one transport. It is that transport's `spec`, `message` and `close`. */
export class JoinedPorts {
  readonly #options: JoinedOptions
  readonly #context: Pick<TransportContext, 'os' | 'log' | 'send' | 'contain'>
  readonly #ports = new Map<number, Pair>()
  #policy: EgressPolicy
  #nextId = 1
  #nextNumber = 1
  #attached = false

  constructor(options: JoinedOptions, context: Pick<TransportContext, 'os' | 'log' | 'send' | 'contain'>) {
    this.#options = options
    this.#context = context
    this.#policy = options.policy
  }

  /**
   * Makes a port, now or when the transport is attached. `peer` says who is behind it, for people. Without `portName`
   * it is called `<transport>:<n>`. Throws where there are no descriptors left.
   */
  open(peer: string | null, handlers: JoinedPortHandlers, portName?: string): JoinedPort {
    const name = portName ?? `${this.#options.name}:${this.#nextNumber++}`
    const pair = new Pair(this.#context, { name, peer, handlers }, id => this.#end(id))
    this.#renew(pair)
    return pair
  }

  get size(): number {
    return this.#ports.size
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    this.#attached = true
    const { name, kind, staticAddresses = [], lasting = [] } = this.#options
    const options: GivenOptions = {
      mode: 'given',
      portKind: kind,
      policy: this.#policy,
      staticAddresses,
      framing: 'qemu',
      socket: { bufferBytes: 0, keepAliveSeconds: 0 },
      connections: [...this.#ports.values()].map(pair => pair.given),
      lasting,
    }
    return { name, kind: STREAM, index, options }
  }

  /** A message from the data plane's half. */
  message(message: EndpointMessage): void {
    const upcall = message as unknown as StreamUpcall
    if (upcall.type !== 'ended') return
    const pair = this.#ports.get(upcall.id)
    if (pair === undefined) return
    this.#ports.delete(upcall.id)
    pair.release()
    if (pair.closed) {
      const stays = this.#options.lasting?.includes(pair.name) === true
      if (this.#attached && !stays) this.#send({ type: 'drop', portName: pair.name })
      return
    }
    if (upcall.refused) {
      pair.refuse(upcall.reason)
      return
    }
    const { log } = this.#context
    log.warn({ transport: this.#options.name, port: pair.name, reason: upcall.reason }, 'a joined port is joined anew')
    this.#renew(pair)
  }

  /** For data planes to come; those that run are told by the control plane. */
  update(policy: EgressPolicy): void {
    this.#policy = policy
  }

  /** Closes everything; the data plane has let go before. Idempotent. */
  close(): void {
    this.#attached = false
    for (const pair of this.#ports.values()) {
      pair.close()
      pair.release()
    }
    this.#ports.clear()
  }

  #renew(pair: Pair): void {
    const id = this.#nextId++
    pair.connect(id)
    this.#ports.set(id, pair)
    if (this.#attached) this.#send({ type: 'give', connection: pair.given })
  }

  /** Where the data plane has the other end, it reads what was sent last, and says when it is done. */
  #end(id: number): void {
    if (this.#attached) return
    this.#ports.get(id)?.release()
    this.#ports.delete(id)
  }

  #send(downcall: StreamDowncall): void {
    this.#context.send({ ...downcall })
  }
}

interface PairParts {
  name: string
  peer: string | null
  handlers: JoinedPortHandlers
}

type PairContext = Pick<TransportContext, 'os' | 'log' | 'contain'>

class Pair implements JoinedPort {
  readonly name: string
  closed = false
  readonly #context: PairContext
  readonly #peer: string | null
  readonly #handlers: JoinedPortHandlers
  readonly #end: (id: number) => void
  #id = 0
  /** The data plane's end; -1 when it is closed. */
  #fd = -1
  #socket: Socket | null = null
  #piece: Buffer = Buffer.alloc(0)
  #filled = 0
  #flushDue = false
  #paused = false
  /** Somebody was told that there is no room. */
  #refused = false

  constructor(context: PairContext, parts: PairParts, end: (id: number) => void) {
    this.#context = context
    this.name = parts.name
    this.#peer = parts.peer
    this.#handlers = parts.handlers
    this.#end = end
  }

  get given(): GivenConnection {
    return { id: this.#id, fd: this.#fd, portName: this.name, peer: this.#peer }
  }

  get waitingBytes(): number {
    return this.#filled + (this.#socket?.writableLength ?? 0)
  }

  connect(id: number): void {
    const { layout } = this.#context.os
    const [ours, theirs] = streamPair(layout)
    for (const fd of [ours, theirs]) sizeSocketBuffers(layout, fd, SOCKET_BYTES, SOCKET_BYTES)
    this.#id = id
    this.#fd = theirs
    this.#filled = 0
    const socket = new Socket({ fd: ours, readable: true, writable: true, allowHalfOpen: false })
    const splitter = new FrameSplitter(frame => {
      if (!this.closed) this.#handlers.onFrame(frame)
    })
    socket.on(
      'data',
      this.#contained((piece: Buffer) => splitter.push(piece)),
    )
    socket.on(
      'drain',
      this.#contained(() => this.#drained()),
    )
    // The data plane's end went; it says so itself, and then the pair is renewed.
    socket.on('error', error => this.#context.log.debug({ port: this.name, err: String(error) }, 'a joined port broke'))
    if (this.#paused) socket.pause()
    this.#socket = socket
  }

  send(frame: Uint8Array): boolean {
    if (frame.length === 0 || frame.length > MAX_LENGTH) throw new RangeError(`a frame of ${frame.length} bytes`)
    const size = PREFIX + frame.length
    if (this.closed || this.#socket?.writable !== true || this.waitingBytes + size > BUFFER_BYTES) {
      this.#refused = true
      return false
    }
    if (this.#filled + size > this.#piece.length) {
      this.#flush()
      this.#piece = Buffer.allocUnsafeSlow(Math.max(PIECE_BYTES, size))
    }
    this.#piece.writeUInt32BE(frame.length, this.#filled)
    this.#piece.set(frame, this.#filled + PREFIX)
    this.#filled += size
    if (!this.#flushDue) {
      this.#flushDue = true
      setImmediate(() => {
        this.#flushDue = false
        this.#flush()
      })
    }
    return true
  }

  pause(): void {
    this.#paused = true
    this.#socket?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#socket?.resume()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#flush()
    this.#socket?.end()
    this.#end(this.#id)
  }

  /** A listener whose failure closes this port, since it was in the middle of a frame. */
  #contained<Args extends unknown[]>(listener: (...args: Args) => void): (...args: Args) => void {
    const { contain } = this.#context
    return contained(contain, listener, () => {
      this.close()
      contain(() => this.#handlers.onRefused?.('a fault of the switch'))
    })
  }

  refuse(reason: string): void {
    this.closed = true
    this.#handlers.onRefused?.(reason)
  }

  /** The data plane does not use its end any more. */
  release(): void {
    if (this.#fd >= 0) closeSocket(this.#fd)
    this.#fd = -1
    this.#socket?.destroy()
    this.#socket = null
    this.#piece = Buffer.alloc(0)
    this.#filled = 0
  }

  #flush(): void {
    if (this.#filled === 0 || this.#socket === null) return
    const rest = this.#piece.length - this.#filled
    const full = this.#piece.subarray(0, this.#filled)
    // What is left of the memory serves the next frames; what was written must not be touched again.
    this.#piece = rest > PIECE_BYTES / 4 ? this.#piece.subarray(this.#filled) : Buffer.alloc(0)
    this.#filled = 0
    this.#socket.write(full)
  }

  #drained(): void {
    if (!this.#refused || this.closed) return
    this.#refused = false
    this.#handlers.onWritable?.()
  }
}
