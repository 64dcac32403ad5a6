/** unixgram: the main thread's half. Sockets, their files, and handing a path over from one socket to the next. */
import type { UnixgramConfig } from '../../config/config.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import type { Logger } from '../../log.js'
import type { Layout } from '../../os/layout.js'
import { encodeUnixAddress } from '../../os/sockaddr-un.js'
import * as unix from '../../os/unix-socket.js'
import { parseMac } from '../../wire/ethernet.js'
import { egressPolicy } from '../policy.js'
import {
  applyAccess,
  bindSocketFile,
  removeSocketFile,
  replaceSocketFile,
  type SocketFileOptions,
} from '../socket-file.js'
import type { SendToEndpoint, Transport, TransportContext } from '../transport.js'
import { UNIXGRAM, type UnixgramOptions, type UnixgramSocket, type UnixgramUpcall, VFKIT_HANDSHAKE } from './options.js'

/**
 * Asked for in both directions. Sending: how much may be on its way to one peer; Linux counts 2304 bytes for a frame of 1514, so
 * this is 1800 of them. Receiving counts on macOS only, where the receiver's buffer is the queue.
 */
const BUFFER_BYTES = 4 * 1024 * 1024

export async function openUnixgram(
  config: UnixgramConfig,
  { os, log, send }: TransportContext,
): Promise<UnixgramTransport> {
  return new UnixgramTransport(config, os.layout, log, send)
}

export class UnixgramTransport implements Transport<UnixgramConfig> {
  config: UnixgramConfig
  readonly #layout: Layout
  readonly #log: Logger
  readonly #send: SendToEndpoint
  readonly #sockets: UnixgramSocket[] = []
  #inode: bigint
  #closed = false

  /** Throws OperatorError when the socket cannot be put in place; nothing is left behind then. */
  constructor(config: UnixgramConfig, layout: Layout, log: Logger, send: SendToEndpoint) {
    this.config = config
    this.#layout = layout
    this.#log = log
    this.#send = send
    const { fd, inode } = bindSocketFile(layout, this.#file)
    this.#inode = inode
    this.#adopt(fd)
  }

  /** The path this switch made. */
  get where(): string {
    return this.config.role === 'listen' ? this.config.listen : this.config.connect.local
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    return { name: this.config.name, kind: UNIXGRAM, index, options: this.#options() }
  }

  message(message: EndpointMessage): void {
    const upcall = message as unknown as UnixgramUpcall
    if (this.#closed) return
    if (upcall.type === 'release') this.#release(upcall.generation)
    else if (upcall.generation === this.#newest().generation) this.#handOver()
  }

  canBecome(config: UnixgramConfig): boolean {
    return JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: UnixgramConfig): void {
    const before = this.config
    this.config = config
    if (JSON.stringify(access(before)) !== JSON.stringify(access(config))) applyAccess(this.#file, this.where)
    if (config.role === 'listen') this.#send({ type: 'max-peers', maxPeers: config.maxPeers })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const { fd } of this.#sockets) unix.closeSocket(fd)
    removeSocketFile(this.where, this.#inode)
  }

  get #file(): SocketFileOptions {
    const { permissions, owner, group } = this.config
    return { path: this.where, permissions, owner, group }
  }

  #adopt(fd: number): UnixgramSocket {
    unix.sizeSocketBuffers(this.#layout, fd, BUFFER_BYTES, BUFFER_BYTES)
    const socket = { fd, generation: (this.#sockets.at(-1)?.generation ?? 0) + 1 }
    this.#sockets.push(socket)
    return socket
  }

  #newest(): UnixgramSocket {
    return this.#sockets[this.#sockets.length - 1]
  }

  #handOver(): void {
    try {
      const { fd, inode } = replaceSocketFile(this.#layout, this.#file)
      this.#inode = inode
      this.#send({ type: 'socket', socket: this.#adopt(fd) })
    } catch (error) {
      this.#log.error(
        { transport: this.config.name, err: String(error) },
        'no new socket for the path; the old one stays',
      )
      this.#send({ type: 'socket', socket: this.#newest() })
    }
  }

  #release(generation: number): void {
    const at = this.#sockets.findIndex(socket => socket.generation === generation)
    if (at < 0 || at === this.#sockets.length - 1) return
    unix.closeSocket(this.#sockets[at].fd)
    this.#sockets.splice(at, 1)
  }

  #options(): UnixgramOptions {
    const { config } = this
    const common = {
      policy: egressPolicy(config.port),
      staticAddresses: config.port.fdb.static.map(mac => parseMac(mac) as number),
      sendBufferBytes: BUFFER_BYTES,
      sockets: [...this.#sockets],
    }
    if (config.role === 'connect') {
      const remote = encodeUnixAddress(this.#layout, config.connect.remote)
      return { ...common, mode: 'connect', remote, handshake: config.handshake === 'vfkit' ? VFKIT_HANDSHAKE : null }
    }
    if (config.peers === 'one') return { ...common, mode: 'one', remote: null, handshake: null }
    return { ...common, mode: 'many', maxPeers: config.maxPeers }
  }
}

/** What cannot change while the socket is open; the rest can. */
function rigid(config: UnixgramConfig): unknown {
  return config.role === 'listen'
    ? [config.role, config.listen, config.peers, config.port.fdb.static]
    : [config.role, config.connect, config.handshake, config.port.fdb.static]
}

function access({ permissions, owner, group }: UnixgramConfig): unknown {
  return [permissions, owner, group]
}
