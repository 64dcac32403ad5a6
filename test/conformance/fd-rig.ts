/**
 * A real data plane in its own thread, with a connected socket for each station, made by the test as whoever starts the
 * switch would, and the far ends of them.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { FdConfig } from '#src/config/config.js'
import { encodeUnixAddress } from '#src/os/sockaddr-un.js'
import { streamPair } from '#src/os/stream-socket.js'
import * as udp from '#src/os/udp-socket.js'
import * as unix from '#src/os/unix-socket.js'
import { openFd } from '#src/transports/fd/transport.js'
import { literalAddress } from '#src/transports/inet-text.js'
import type { FramingName } from '#src/transports/stream/framing.js'
import type { Transport, TransportContext } from '#src/transports/transport.js'
import { RawPeer } from '../support/raw-peer.js'
import { peerOnDescriptor } from '../support/stream-peer.js'
import { freeUdpPort, UdpPeer } from '../support/udp-peer.js'
import { DataPlaneRig } from './data-plane-rig.js'
import type { Harness, RigOptions, Station } from './rig.js'

/** What the descriptor is: a stream or a datagram socket of the unix domain, or a UDP socket that is connected. */
export type SocketKind = 'stream' | 'datagram' | 'udp'

export const fdHarness = (kind: SocketKind, framing: FramingName = 'qemu'): Harness => ({
  // A length of 0 is no length on a stream.
  runts: kind === 'stream' ? [1, 3, 13] : [0, 1, 3, 13],
  // Beyond that, a UDP datagram may find no room at the receiver, and is lost.
  window: kind !== 'udp' || process.getuid?.() === 0 ? 128 : 8,
  backPressure: kind !== 'udp',
  // Nobody can open the other end of a pair again; a UDP port can be taken again.
  comesBack: kind === 'udp',
  start: async options => {
    const rig = new FdRig(kind, framing, options)
    await rig.start()
    return rig
  },
})

/** The far end of a socket. */
interface Peer {
  send(frames: readonly Uint8Array[]): Promise<void>
  receive(count: number): Promise<Uint8Array[]>
  receiveNow(): Uint8Array[]
  stall?(): void
  resume?(): void
  leave(): void
}

class FdRig extends DataPlaneRig<FdConfig> {
  readonly #kind: SocketKind
  readonly #framing: FramingName
  readonly #peers = new Set<Peer>()
  /** Of UDP sockets, in the order of stations: ours and the peer's. */
  readonly #udpAddresses = new Map<number, { ours: string; theirs: string }>()

  constructor(kind: SocketKind, framing: FramingName, options: RigOptions) {
    super(options)
    this.#kind = kind
    this.#framing = framing
  }

  async join(number: number): Promise<Station> {
    const name = `vm${number}`
    const isNew = !this.transports.has(name)
    const { fd, peer } = isNew ? this.#connect(number) : { fd: -1, peer: this.#udpPeer(number) }
    this.#peers.add(peer)
    if (isNew) await this.attach({ type: 'fd', name, fd, framing: this.#framing, port: this.policy })
    await this.introduce(number, hello => peer.send([hello]))
    peer.receiveNow()
    return {
      send: frames => peer.send(frames),
      receive: count => peer.receive(count),
      stall: () => peer.stall?.(),
      resume: () => peer.resume?.(),
      leave: () => this.#leave(peer),
    }
  }

  protected openTransport(config: FdConfig, context: TransportContext): Promise<Transport<FdConfig>> {
    return openFd(config, context)
  }

  protected async dismiss(): Promise<void> {
    for (const peer of [...this.#peers]) this.#leave(peer)
    await new Promise(resolve => setImmediate(resolve))
  }

  /** Two sockets that are connected to each other, of which one is for the switch. */
  #connect(number: number): { fd: number; peer: Peer } {
    if (this.#kind === 'stream') return this.#connectStream()
    return this.#kind === 'udp' ? this.#connectUdp(number) : this.#connectDatagrams(number)
  }

  #connectStream(): { fd: number; peer: Peer } {
    const [fd, theirs] = streamPair(this.os.layout)
    return { fd, peer: peerOnDescriptor(theirs, this.#framing) }
  }

  #connectDatagrams(number: number): { fd: number; peer: Peer } {
    const { layout } = this.os
    const [ours, theirs] = [join(this.folder, `${number}-ours`), join(this.folder, `${number}-theirs`)]
    const fd = unix.openUnixDatagram(layout)
    assert.equal(unix.bindUnix(layout, fd, ours), 0)
    const raw = RawPeer.bind(theirs, { maxFrameSize: 2 * this.options.maxFrameSize })
    assert.equal(unix.connectUnix(fd, encodeUnixAddress(layout, theirs)), 0)
    raw.connect(ours)
    // As a socketpair, they have no names any more.
    for (const path of [ours, theirs]) rmSync(path)
    const receive = (count: number) => raw.receiveMany(count)
    const [send, receiveNow] = [raw.send.bind(raw), raw.receiveNow.bind(raw)]
    return { fd, peer: { send, receive, receiveNow, leave: () => raw.close() } }
  }

  #connectUdp(number: number): { fd: number; peer: Peer } {
    const { layout } = this.os
    const theirs = `127.0.0.1:${freeUdpPort()}`
    const fd = udp.openUdp(layout, 4)
    assert.equal(udp.bindUdp(layout, fd, literalAddress('127.0.0.1:0')), 0)
    assert.equal(udp.connectUdp(layout, fd, literalAddress(theirs)), 0)
    const ours = `127.0.0.1:${udp.localAddress(layout, fd)?.port}`
    this.#udpAddresses.set(number, { ours, theirs })
    return { fd, peer: this.#udpPeer(number) }
  }

  #udpPeer(number: number): Peer {
    const { ours, theirs } = this.#udpAddresses.get(number) ?? assert.fail(`station ${number} cannot come back`)
    const bound = UdpPeer.bind(theirs, { sendTo: ours, maxFrameSize: 2 * this.options.maxFrameSize })
    const receive = (count: number) => bound.receiveMany(count)
    const [send, receiveNow] = [bound.send.bind(bound), bound.receiveNow.bind(bound)]
    return { send, receive, receiveNow, leave: () => bound.close() }
  }

  #leave(peer: Peer): void {
    this.#peers.delete(peer)
    peer.leave()
  }
}
