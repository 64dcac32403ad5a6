/** stream, listening: the main thread's half. The listening socket is opened here; connections are the data plane's. */
import { lookup } from 'node:dns/promises'
import { getSystemErrorName } from 'node:util'
import type { StreamListenConfig } from '../../config/config.js'
import { formatTcp, parseStreamAddress } from '../../config/stream-address.js'
import type { EndpointSpec } from '../../dataplane/messages.js'
import { OperatorError } from '../../errors.js'
import { inheritedSockets } from '../../os/activation.js'
import type { Layout } from '../../os/layout.js'
import * as streams from '../../os/stream-socket.js'
import { closeSocket } from '../../os/unix-socket.js'
import { formatIp, parseIp } from '../../wire/ip-prefix.js'
import { applyAccess, bindSocketFile, removeSocketFile, type SocketFileOptions } from '../socket-file.js'
import type { Facts, Transport } from '../transport.js'
import { commonOptions, type StreamContext } from './common-options.js'
import { type ListenOptions, STREAM, type StreamDowncall } from './options.js'

/** What is listened on, and what has to be undone. */
interface Listening {
  readonly fds: readonly number[]
  /** For people: a path, an address with the port it got, the name systemd has for it. */
  readonly where: string
  /** The socket file, if it is ours. */
  readonly file: { readonly path: string; readonly inode: bigint } | null
  /** systemd's sockets stay open, so that nobody who connects meanwhile is turned away. */
  readonly inherited: boolean
}

export async function openStreamListener(config: StreamListenConfig, context: StreamContext): Promise<StreamListener> {
  const address = parseStreamAddress(config.listen)
  const { layout } = context.os
  if (address?.type === 'systemd') return new StreamListener(config, context, inherit(layout, address.name))
  if (address?.type === 'tcp') {
    return new StreamListener(config, context, await listenOnTcp(layout, address.host, address.port))
  }
  return new StreamListener(config, context, listenOnPath(layout, config))
}

export class StreamListener implements Transport<StreamListenConfig> {
  config: StreamListenConfig
  readonly #context: StreamContext
  readonly #listening: Listening
  #closed = false

  constructor(config: StreamListenConfig, context: StreamContext, listening: Listening) {
    this.config = config
    this.#context = context
    this.#listening = listening
  }

  get where(): string {
    return this.#listening.where
  }

  facts(): Facts {
    return { framing: this.config.framing }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const { name, peers, maxPeers } = this.config
    const options: ListenOptions = {
      ...commonOptions(this.config),
      mode: 'listen',
      listening: this.#listening.fds,
      peers,
      maxPeers,
    }
    return { name, kind: STREAM, index, options }
  }

  message(): void {}

  canBecome(config: StreamListenConfig): boolean {
    return JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: StreamListenConfig): void {
    this.config = config
    if (this.#listening.file !== null) applyAccess(fileOptions(config), config.listen)
    this.#context.send({ type: 'max-peers', maxPeers: config.maxPeers } satisfies StreamDowncall)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const { fds, file, inherited } = this.#listening
    if (!inherited) for (const fd of fds) closeSocket(fd)
    if (file !== null) removeSocketFile(file.path, file.inode)
  }
}

function listenOnPath(layout: Layout, config: StreamListenConfig): Listening {
  const { fd, inode } = bindSocketFile(layout, fileOptions(config))
  return { fds: [fd], where: config.listen, file: { path: config.listen, inode }, inherited: false }
}

/** A name may stand for an IPv4 and an IPv6 address, as localhost does. Port 0 takes a free one, the same for all. */
async function listenOnTcp(layout: Layout, host: string, port: number): Promise<Listening> {
  const fds: number[] = []
  let bound = port
  for (const ip of await addressesOf(host)) {
    const fd = streams.listenAt(layout, { ip, port: bound, scope: 0 })
    // Names are often listed with an address of a family that this machine does not have.
    if (fd === -layout.errno.EADDRNOTAVAIL && parseIp(host) === undefined) continue
    if (fd < 0) {
      for (const opened of fds) closeSocket(opened)
      throw new OperatorError(`cannot listen on "${formatTcp(formatIp(ip), bound)}": ${getSystemErrorName(fd)}`)
    }
    fds.push(fd)
    bound = streams.ownAddress(layout, fd)?.port ?? bound
  }
  if (fds.length === 0) throw new OperatorError(`cannot listen on "${formatTcp(host, port)}": no such address here`)
  return { fds, where: formatTcp(host, bound), file: null, inherited: false }
}

async function addressesOf(host: string): Promise<Uint8Array[]> {
  const ip = parseIp(host)
  if (ip !== undefined) return [ip]
  try {
    const found = await lookup(host, { all: true })
    return found.map(({ address }) => parseIp(address)).filter(bytes => bytes !== undefined)
  } catch (error) {
    throw new OperatorError(`cannot find the address of "${host}": ${(error as Error).message}`, { cause: error })
  }
}

function inherit(layout: Layout, name: string): Listening {
  const fds = inheritedSockets(layout).get(name) ?? []
  if (fds.length === 0) {
    throw new OperatorError(`systemd passed no socket named "${name}" (FileDescriptorName= in the socket unit)`)
  }
  for (const fd of fds) {
    const kind = streams.socketKind(layout, fd)
    if (kind?.stream !== true || !kind.listening) {
      throw new OperatorError(
        `the socket "${name}" that systemd passed is not a listening stream socket (ListenStream=)`,
      )
    }
  }
  return { fds, where: `systemd:${name}`, file: null, inherited: true }
}

function fileOptions({ listen, permissions, owner, group }: StreamListenConfig): SocketFileOptions {
  return { path: listen, kind: 'stream', permissions, owner, group }
}

/** What cannot change while the socket is open; the rest can. */
function rigid(config: StreamListenConfig): unknown {
  const { role, listen, peers, framing, keepAliveSeconds, allowRemote, port } = config
  return [role, listen, peers, framing, keepAliveSeconds, allowRemote, port.fdb.static]
}
