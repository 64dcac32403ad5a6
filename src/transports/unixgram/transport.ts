/** unixgram: the main thread's half. Sockets, their files, and handing a path over from one socket to the next. */
import { getSystemErrorName } from 'node:util'
import type { UnixgramConfig } from '../../config/config.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import { OperatorError } from '../../errors.js'
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
import type { Transport, TransportContext } from '../transport.js'
import { UNIXGRAM, type UnixgramOptions, type UnixgramSocket, type UnixgramUpcall, VFKIT_HANDSHAKE } from './options.js'
import { canTellSameNames, sameNames } from './same-names.js'

/**
 * Asked for in both directions. Sending: how much may be on its way to one peer; Linux counts 2304 bytes for a frame of
 * 1514, so this is 1800 of them. Receiving counts on macOS only, where the receiver's buffer is the queue.
 */
const BUFFER_BYTES = 4 * 1024 * 1024

const NO_DESCRIPTORS =
  'there are no open files left for another socket of this path, so clients that connect now share one: raise the limit (LimitNOFILE=, ulimit -n)'

/** How often the sockets of this machine are looked through for a name that two have. */
const SAME_NAME_MS = 5000

export type UnixgramContext = Pick<TransportContext, 'os' | 'log' | 'send' | 'findings' | 'descriptors'>

export async function openUnixgram(config: UnixgramConfig, context: UnixgramContext): Promise<UnixgramTransport> {
  return new UnixgramTransport(config, context)
}

export class UnixgramTransport implements Transport<UnixgramConfig> {
  config: UnixgramConfig
  readonly #layout: Layout
  readonly #context: UnixgramContext
  readonly #sockets: UnixgramSocket[] = []
  readonly #probeFd: number
  readonly #timer: NodeJS.Timeout | undefined
  #inode: bigint
  #closed = false
  /** Names that two sockets had at the last look. */
  #sameNames: ReadonlySet<string> = new Set()

  /** Throws OperatorError when the socket cannot be put in place; nothing is left behind then. */
  constructor(config: UnixgramConfig, context: UnixgramContext) {
    const { layout } = context.os
    this.config = config
    this.#layout = layout
    this.#context = context
    this.#probeFd = unix.openUnixDatagram(layout)
    if (this.#probeFd < 0) throw new OperatorError(`cannot open a socket: ${getSystemErrorName(this.#probeFd)}`)
    try {
      const { fd, inode } = bindSocketFile(layout, this.#file)
      this.#inode = inode
      this.#adopt(fd)
    } catch (error) {
      unix.closeSocket(this.#probeFd)
      throw error
    }
    if (canTellSameNames) this.#timer = setInterval(() => void this.#lookForSameNames(), SAME_NAME_MS).unref()
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
    if (config.role === 'listen') this.#context.send({ type: 'max-peers', maxPeers: config.maxPeers })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    for (const { fd } of this.#sockets) unix.closeSocket(fd)
    unix.closeSocket(this.#probeFd)
    removeSocketFile(this.where, this.#inode)
  }

  get #file(): SocketFileOptions {
    const { permissions, owner, group } = this.config
    return { path: this.where, permissions, owner, group }
  }

  #adopt(fd: number): UnixgramSocket {
    unix.sizeSocketBuffers(this.#layout, fd, BUFFER_BYTES, BUFFER_BYTES)
    if (this.config.role === 'listen' && this.config.peers === 'many') this.#keepReserve(fd)
    const socket = { fd, generation: (this.#sockets.at(-1)?.generation ?? 0) + 1 }
    this.#sockets.push(socket)
    return socket
  }

  /**
   * The first client of a socket fills seven eighths of the send buffer at most. The data plane asks for all of it when
   * it hears a second client, which may have connected long before it sent.
   */
  #keepReserve(fd: number): void {
    if (this.#layout.platform !== 'linux') return
    // Linux reports twice what was asked for.
    unix.sizeSocketBuffers(this.#layout, fd, (unix.sendBufferSize(this.#layout, fd) * 7) / 16, 0)
  }

  #newest(): UnixgramSocket {
    return this.#sockets[this.#sockets.length - 1]
  }

  #handOver(): void {
    const { descriptors, findings, send } = this.#context
    // The socket that gives up the path stays open for its client.
    if (!descriptors.take()) {
      findings.raise({ code: 'descriptor-limit', message: NO_DESCRIPTORS })
      send({ type: 'socket', socket: this.#newest() })
      return
    }
    try {
      const { fd, inode } = replaceSocketFile(this.#layout, this.#file)
      this.#inode = inode
      send({ type: 'socket', socket: this.#adopt(fd) })
    } catch (error) {
      descriptors.give()
      findings.raise({
        code: 'handoff-limit',
        message: `no further socket can be bound to ${this.where}, so clients that connect share one: ${(error as Error).message}`,
      })
      send({ type: 'socket', socket: this.#newest() })
    }
  }

  #release(generation: number): void {
    const at = this.#sockets.findIndex(socket => socket.generation === generation)
    if (at < 0 || at === this.#sockets.length - 1) return
    unix.closeSocket(this.#sockets[at].fd)
    this.#sockets.splice(at, 1)
    this.#context.descriptors.give()
  }

  /** A VM that restarts is there twice for a moment, so a name counts when two looks in a row find it. */
  async #lookForSameNames(): Promise<void> {
    const names = await sameNames()
    if (this.#closed) return
    const paths = [...names].filter(name => this.#sameNames.has(name))
    this.#sameNames = names
    if (this.config.role === 'listen' && this.config.peers === 'many') this.#context.send({ type: 'same-name', paths })
  }

  #options(): UnixgramOptions {
    const { config } = this
    const common = {
      policy: egressPolicy(config.port),
      staticAddresses: config.port.fdb.static.map(mac => parseMac(mac) as number),
      sendBufferBytes: BUFFER_BYTES,
      probeFd: this.#probeFd,
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
