/**
 * The far end of a stream connection, inside the test: frames behind 4-byte (or 2-byte) lengths on a unix or TCP
 * socket. A peer that is stalled leaves what comes in the kernel. Every wait is bounded.
 */
import { once } from 'node:events'
import { connect, createServer, type NetConnectOpts, type Server, Socket } from 'node:net'
import { encodePrefix, type FramingName, prefixBytes } from '#src/transports/stream/framing.js'
import { until } from './until.js'

export class StreamPeer {
  readonly socket: Socket
  readonly #framing: FramingName
  readonly #inbox: Uint8Array[] = []
  #partial: Buffer = Buffer.alloc(0)
  ended = false

  constructor(socket: Socket, framing: FramingName = 'qemu') {
    this.socket = socket
    this.#framing = framing
    socket.on('data', piece => this.#take(piece))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.ended = true
    })
  }

  static async connect(to: NetConnectOpts, framing: FramingName = 'qemu'): Promise<StreamPeer> {
    const socket = connect(to)
    await once(socket, 'connect')
    return new StreamPeer(socket, framing)
  }

  /** Resolves when the kernel has all of it. */
  send(frames: readonly Uint8Array[]): Promise<void> {
    const parts = frames.flatMap(each => [encodePrefix(this.#framing, each.length), each])
    return this.sendBytes(Buffer.concat(parts))
  }

  sendBytes(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, error => (error ? reject(error) : resolve()))
    })
  }

  /** The next frames, in order. */
  async receive(count: number): Promise<Uint8Array[]> {
    await until(() => this.#inbox.length >= count || this.ended, `${count} frames came`)
    if (this.#inbox.length < count) throw new Error(`${this.#inbox.length} of ${count} frames, then the end`)
    return this.#inbox.splice(0, count)
  }

  /** Frames that came and nobody asked for. */
  get waiting(): number {
    return this.#inbox.length
  }

  receiveNow(): Uint8Array[] {
    return this.#inbox.splice(0)
  }

  stall(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  leave(): void {
    this.socket.destroy()
  }

  #take(piece: Buffer): void {
    const prefix = prefixBytes(this.#framing)
    this.#partial = this.#partial.length === 0 ? piece : Buffer.concat([this.#partial, piece])
    let at = 0
    for (;;) {
      if (this.#partial.length - at < prefix) break
      const length = prefix === 4 ? this.#partial.readUInt32BE(at) : this.#partial.readUInt16LE(at)
      if (this.#partial.length - at < prefix + length) break
      this.#inbox.push(this.#partial.subarray(at + prefix, at + prefix + length))
      at += prefix + length
    }
    this.#partial = this.#partial.subarray(at)
  }
}

/** Listens for one connection after the other, as QEMU with server=on does. */
export class StreamServer {
  readonly #server: Server
  readonly #arrivals: Socket[] = []

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', socket => this.#arrivals.push(socket))
  }

  static async listen(at: { path: string } | { host: string; port: number }): Promise<StreamServer> {
    const server = createServer()
    const streamServer = new StreamServer(server)
    server.listen(at)
    await once(server, 'listening')
    return streamServer
  }

  get port(): number {
    const address = server(this.#server.address())
    return address.port
  }

  async accept(framing: FramingName = 'qemu', timeoutMs = 8000): Promise<StreamPeer> {
    await until(() => this.#arrivals.length > 0, 'somebody connected', timeoutMs)
    return new StreamPeer(this.#arrivals.shift() as Socket, framing)
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#arrivals) socket.destroy()
  }
}

function server(address: ReturnType<Server['address']>): { port: number } {
  if (address === null || typeof address === 'string') throw new Error('not a TCP server')
  return address
}

/** One end of a socket pair that is not a port. */
export const peerOnDescriptor = (fd: number, framing: FramingName = 'qemu') =>
  new StreamPeer(new Socket({ fd, readable: true, writable: true }), framing)
