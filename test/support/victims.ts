/** Transports on real sockets, opened as their main half does, for a data plane that runs in the test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Endpoint } from '#src/dataplane/endpoint.js'
import type { EndpointMessage, EndpointSpec } from '#src/dataplane/messages.js'
import { createOs } from '#src/os/os.js'
import { encodeInetAddress, type InetAddress } from '#src/os/sockaddr-in.js'
import * as udp from '#src/os/udp-socket.js'
import * as unix from '#src/os/unix-socket.js'
import { formatInetAddress, literalAddress } from '#src/transports/inet-text.js'
import { UDP } from '#src/transports/udp/options.js'
import { UNIXGRAM } from '#src/transports/unixgram/options.js'
import { VXLAN } from '#src/transports/vxlan/options.js'
import { must } from './datagrams.js'
import { RawPeer } from './raw-peer.js'
import { UdpPeer } from './udp-peer.js'

/** The endpoint whose methods throw, and what is at its other end. */
export interface Victim {
  readonly spec: Omit<EndpointSpec, 'ports'>
  /** Sends a frame to the switch. */
  send(bytes: Uint8Array): void
  /** What its main half would do once it is told that a connection ended; undefined where it has none. */
  renew?(): EndpointMessage
  close(): void
}

export type Method = Exclude<keyof Endpoint, 'maxFrameSize' | 'maxTransmit'>

const { layout } = createOs()
const policy = { maxFrameSize: 1518, maxEntries: 0, isolated: false, queueFrames: 64 }
const name = 'victim'
const index = 1

export function unixgramVictim(mode: 'many' | 'one'): Victim {
  const folder = mkdtempSync(join(tmpdir(), 'tapswitch-victim-'))
  const path = join(folder, 'switch.sock')
  const fd = must('socket', unix.openUnixDatagram(layout))
  must('bind', unix.bindUnix(layout, fd, path))
  const probeFd = must('socket', unix.openUnixDatagram(layout))
  const peer = RawPeer.bind(join(folder, 'vm.sock'), { sendTo: path })
  const common = { policy, staticAddresses: [], sendBufferBytes: 1 << 20, probeFd, sockets: [{ fd, generation: 1 }] }
  const options =
    mode === 'many' ? { ...common, mode, maxPeers: 8 } : { ...common, mode, remote: null, handshake: null }
  return {
    spec: { name, kind: UNIXGRAM, index, options },
    send: bytes => void peer.sendNow(bytes),
    close: () => {
      peer.close()
      for (const each of [fd, probeFd]) unix.closeSocket(each)
      rmSync(folder, { recursive: true })
    },
  }
}

function boundUdp(): { fd: number; address: InetAddress } {
  const fd = must('socket', udp.openUdp(layout, 4))
  must('bind', udp.bindUdp(layout, fd, literalAddress('127.0.0.1:0')))
  return { fd, address: udp.localAddress(layout, fd) as InetAddress }
}

export function udpVictim(): Victim {
  const { fd, address } = boundUdp()
  const peer = UdpPeer.bind('127.0.0.1:0', { sendTo: formatInetAddress(address) })
  const raw = encodeInetAddress(layout, literalAddress(peer.address))
  const peers = [{ key: 'mallory', address: raw }]
  return {
    spec: {
      name,
      kind: UDP,
      index,
      options: { mode: 'peers', single: true, fd, lanes: [], policy, staticAddresses: [], peers, learn: null },
    },
    send: bytes => void peer.sendNow(bytes),
    close: () => {
      peer.close()
      unix.closeSocket(fd)
    },
  }
}

export function vxlanVictim(): Victim {
  const vni = 7
  const { fd, address } = boundUdp()
  const sending = boundUdp()
  // RFC 7348 section 5: flags, then the network in the upper three octets of the second word.
  const header = Uint8Array.of(8, 0, 0, 0, 0, 0, vni, 0)
  const peer = UdpPeer.bind('127.0.0.1:0', { sendTo: formatInetAddress(address), header })
  const raw = encodeInetAddress(layout, literalAddress(peer.address))
  const options = {
    policy,
    staticAddresses: [],
    vni,
    fds: [fd],
    sendFds: [sending.fd],
    port: address.port,
    maxEntries: 64,
    remotes: [{ key: 'mallory', address: raw }],
    learn: null,
    ageingMs: 300_000,
  }
  return {
    spec: { name, kind: VXLAN, index, options },
    send: bytes => void peer.sendNow(bytes),
    close: () => {
      peer.close()
      for (const each of [fd, sending.fd]) unix.closeSocket(each)
    },
  }
}
