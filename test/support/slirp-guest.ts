/**
 * A guest behind a slirp process, without a VM: it holds the far end of the socketpair and does by hand what a guest's
 * kernel does, DHCP, ARP, ICMP, a little TCP.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Forward } from '#src/config/forwards.js'
import type { SlirpConfig } from '#src/config/interfaces/slirp.js'
import { createOs } from '#src/os/os.js'
import { streamPair } from '#src/os/stream-socket.js'
import { loadSlirp } from '#src/slirp/library.js'
import type { Needs } from '#src/slirp/messages.js'
import { SlirpProcess } from '#src/slirp/process.js'
import { load } from '../unit/config/load-text.js'
import {
  arp,
  bytes4,
  dhcp,
  dhcpOptions,
  echoRequest,
  ethernet,
  etherType,
  everyone,
  ip,
  packetOf,
  protocol,
  type Segment,
  segmentOf,
  tcp,
  tcpFlag,
  text4,
  typeOf,
  udp,
} from './packets.js'

const defaultTimeoutMs = 10_000

/** A slirp process, and the far end of its link for guests to share, as they would share a switch. */
export class SlirpNetwork {
  readonly process: SlirpProcess
  readonly config: SlirpConfig
  readonly deaths: string[] = []
  readonly restarts: number[] = []
  readonly #os = createOs()
  readonly #folder = mkdtempSync(join(tmpdir(), 'tapswitch-slirp-'))
  /** The process's own: sockets of forwards are bound here. */
  readonly folder = join(this.#folder, 'process')
  /** How the process calls it. */
  readonly folderInside = process.platform === 'linux' ? '/proc/self/cwd' : this.folder
  readonly #guests: SlirpGuest[] = []
  #socket: Socket | null = null
  #received: Buffer = Buffer.alloc(0)

  static async start(options: object = {}, needs: Partial<Needs> = {}): Promise<SlirpNetwork> {
    const network = new SlirpNetwork(options, { unixSockets: false, lowPorts: false, ...needs })
    await network.process.start()
    return network
  }

  /** One whose process gets no link: it must not start. */
  static withoutLink(): SlirpNetwork {
    const network = new SlirpNetwork({}, { unixSockets: false, lowPorts: false })
    network.freshLink = () => {
      throw new Error('no descriptor is left')
    }
    return network
  }

  private constructor(options: object, needs: Needs) {
    const text = JSON.stringify({ interfaces: [{ name: 'nat', type: 'slirp', ...options }] })
    this.config = load(text).interfaces[0] as SlirpConfig
    this.process = new SlirpProcess({
      config: this.config,
      layout: this.#os.layout,
      folder: this.folder,
      account: process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : null,
      needs: () => needs,
      freshLink: () => this.freshLink(),
      died: why => this.deaths.push(why),
      restarted: async count => void this.restarts.push(count),
    })
  }

  /** Another socketpair; returns the stack's end. */
  freshLink(): number {
    this.#socket?.destroy()
    const [ours, theirs] = streamPair(this.#os.layout)
    this.#received = Buffer.alloc(0)
    this.#socket = new Socket({ fd: theirs })
    this.#socket.on('data', piece => this.#receive(piece))
    this.#socket.on('error', () => {})
    return ours
  }

  guest(mac: string): SlirpGuest {
    const guest = new SlirpGuest(mac, frame => this.send(frame))
    this.#guests.push(guest)
    return guest
  }

  send(frame: Uint8Array): void {
    const prefix = Buffer.alloc(4)
    prefix.writeUInt32BE(frame.length)
    this.#socket?.write(Buffer.concat([prefix, frame]))
  }

  /** Bytes as they are, to be out of step. */
  sendRaw(bytes: Uint8Array): void {
    this.#socket?.write(bytes)
  }

  async addForward(forward: Forward) {
    return this.process.command({ type: 'add-forward', forward })
  }

  /** Where the test finds what the process calls so. */
  outside(host: string): string {
    return host.replace(this.folderInside, this.folder)
  }

  /** As they are now. */
  async counts() {
    const result = await this.process.command({ type: 'status' })
    assert.ok('counts' in result)
    return result.counts
  }

  async close(): Promise<void> {
    await this.process.stop()
    this.#socket?.destroy()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #receive(piece: Buffer): void {
    this.#received = Buffer.concat([this.#received, piece])
    while (this.#received.length >= 4) {
      const end = 4 + this.#received.readUInt32BE(0)
      if (this.#received.length < end) return
      const frame = this.#received.subarray(4, end)
      this.#received = this.#received.subarray(end)
      for (const guest of this.#guests) guest.deliver(frame)
    }
  }
}

export class SlirpGuest {
  readonly mac: string
  address = '0.0.0.0'
  readonly #send: (frame: Uint8Array) => void
  readonly #frames: Uint8Array[] = []
  #arrived: (() => void) | null = null
  #gatewayMac = everyone
  #nextPort = 40_000

  constructor(mac: string, send: (frame: Uint8Array) => void) {
    this.mac = mac
    this.#send = send
  }

  deliver(frame: Uint8Array): void {
    if (this.#answersArp(frame)) return
    this.#frames.push(frame)
    this.#arrived?.()
  }

  /** Resolves with the first frame that fits, among those that came already too; rejects after a while. */
  async next<Found>(
    read: (frame: Uint8Array) => Found | null,
    what: string,
    timeoutMs = defaultTimeoutMs,
  ): Promise<Found> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      for (let i = 0; i < this.#frames.length; i++) {
        const found = read(this.#frames[i])
        if (found === null) continue
        this.#frames.splice(i, 1)
        return found
      }
      const left = deadline - performance.now()
      if (left <= 0) throw new Error(`${this.mac}: not within ${timeoutMs} ms: ${what}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#arrived = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#arrived = null
    }
  }

  /** DISCOVER, OFFER, REQUEST, ACK (RFC 2131). Returns the options of the acknowledgement. */
  async dhcp(): Promise<Map<number, Uint8Array>> {
    const offer = await this.#dhcp(1, [], 2)
    const server = offer.options.get(54) as Uint8Array
    const requested: [number, Uint8Array][] = [
      [50, offer.address],
      [54, server],
    ]
    const acknowledged = await this.#dhcp(3, requested, 5)
    this.address = text4(acknowledged.address)
    this.#gatewayMac = await this.resolve(text4(acknowledged.options.get(3) ?? server))
    return acknowledged.options
  }

  async #dhcp(type: number, options: [number, Uint8Array][], wanted: number) {
    const message = udp(68, 67, dhcp(type, this.mac, options))
    const packet = ip(bytes4('0.0.0.0'), bytes4('255.255.255.255'), protocol.udp, message)
    this.#send(ethernet(everyone, this.mac, etherType.ipv4, packet))
    return this.next(frame => {
      const answer = packetOf(frame)
      if (answer?.protocol !== protocol.udp || answer.payload[3] !== 68) return null
      const bootp = answer.payload.subarray(8)
      const got = dhcpOptions(bootp)
      const isMine = Buffer.from(bootp.subarray(28, 34)).toString('hex') === this.mac.replaceAll(':', '')
      return isMine && got.get(53)?.[0] === wanted ? { address: bootp.subarray(16, 20), options: got } : null
    }, `DHCP message ${wanted}`)
  }

  /** The MAC address of an IPv4 address, as text. */
  async resolve(address: string, timeoutMs = defaultTimeoutMs): Promise<string> {
    const request = arp(1, { mac: this.mac, ip: this.address }, { mac: '00:00:00:00:00:00', ip: address })
    this.#send(ethernet(everyone, this.mac, etherType.arp, request))
    return this.next(
      frame => {
        const isAnswer = typeOf(frame) === etherType.arp && frame[21] === 2 && text4(frame.subarray(28, 32)) === address
        return isAnswer
          ? Buffer.from(frame.subarray(22, 28))
              .toString('hex')
              .replace(/..(?=.)/g, '$&:')
          : null
      },
      `who has ${address}`,
      timeoutMs,
    )
  }

  async ping(address: string, sequence: number): Promise<void> {
    this.sendIp(bytes4(address), protocol.icmp, echoRequest(sequence))
    await this.next(frame => {
      const packet = packetOf(frame)
      const isReply = packet?.protocol === protocol.icmp && packet.payload[0] === 0 && packet.payload[7] === sequence
      return isReply && text4(packet.source) === address ? true : null
    }, `echo ${sequence} from ${address}`)
  }

  /** Through the gateway, unless another destination is named. */
  sendIp(
    destination: Uint8Array,
    proto: number,
    payload: Uint8Array,
    { source, to }: { source?: Uint8Array; to?: string } = {},
  ): void {
    const packet = ip(source ?? bytes4(this.address), destination, proto, payload)
    const type = destination.length === 16 ? etherType.ipv6 : etherType.ipv4
    this.#send(ethernet(to ?? this.#gatewayMac, this.mac, type, packet))
  }

  sendFrame(frame: Uint8Array): void {
    this.#send(frame)
  }

  /** Connects, says something, and reads until the other end has said as much as wanted. Resolves with what it read. */
  async exchange(address: string, port: number, say: string, wanted: number): Promise<string> {
    const connection = await this.connect(bytes4(address), port)
    connection.send(Buffer.from(say))
    return connection.read(wanted)
  }

  /** Resolves when the connection stands; rejects with `refused` when it is reset, or when nobody answers. */
  async connect(
    destination: Uint8Array,
    port: number,
    via: { source?: Uint8Array; to?: string; timeoutMs?: number } = {},
  ) {
    const from = this.#nextPort++
    const segment = (fields: Omit<Segment, 'from' | 'to'>) =>
      this.sendIp(destination, protocol.tcp, tcp({ from, to: port, ...fields }), via)
    const answer = (what: string, timeoutMs = via.timeoutMs) =>
      this.next(frame => tcpAnswer(frame, port, from), what, timeoutMs)
    segment({ seq: 1000, flags: tcpFlag.syn })
    const first = await answer('an answer to SYN')
    assert.equal(first.flags & tcpFlag.rst, 0, 'refused')
    let seq = 1001
    let ack = first.seq + 1
    segment({ seq, ack, flags: tcpFlag.ack })
    return {
      send: (data: Uint8Array): void => {
        segment({ seq, ack, flags: tcpFlag.ack | tcpFlag.psh, data })
        seq += data.length
      },
      read: async (wanted: number): Promise<string> => {
        let text = ''
        while (text.length < wanted) {
          const { data, seq: theirs, flags } = await answer(`${wanted} bytes; so far ${text.length}`)
          if (theirs !== ack) continue
          text += Buffer.from(data).toString()
          ack += data.length
          segment({ seq, ack, flags: tcpFlag.ack })
          if ((flags & (tcpFlag.fin | tcpFlag.rst)) !== 0) break
        }
        return text
      },
    }
  }

  #answersArp(frame: Uint8Array): boolean {
    if (typeOf(frame) !== etherType.arp || frame[21] !== 1 || text4(frame.subarray(38, 42)) !== this.address)
      return false
    const asker = {
      mac: Buffer.from(frame.subarray(22, 28))
        .toString('hex')
        .replace(/..(?=.)/g, '$&:'),
      ip: text4(frame.subarray(28, 32)),
    }
    this.#send(ethernet(asker.mac, this.mac, etherType.arp, arp(2, { mac: this.mac, ip: this.address }, asker)))
    return true
  }
}

function tcpAnswer(frame: Uint8Array, from: number, to: number) {
  const packet = packetOf(frame)
  if (packet?.protocol !== protocol.tcp) return null
  const segment = segmentOf(packet.payload)
  return segment.from === from && segment.to === to ? segment : null
}

/** Resolves with its port once it listens. */
export async function listening(server: Server, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** For `describe` and `it`: the library has to be there. */
export function slirpNeeds(): { skip: string | false } {
  try {
    loadSlirp()
    return { skip: false }
  } catch (error) {
    return { skip: (error as Error).message }
  }
}

/** A TCP and UDP port that nobody listened on a moment ago, on either loopback address. */
export async function freePort(): Promise<number> {
  const server = createServer()
  const port = await listening(server, '::')
  server.close()
  await once(server, 'close')
  return port
}
