/**
 * Frames for libslirp, made from a seed: what guests send, in every protocol that libslirp reads, and then wrong in one
 * place or several. Most checksums are put right again behind a change, because a frame with a wrong one is read no
 * further.
 *
 * `observe` is told what libslirp answers, so that TCP goes on where it stands: a segment that libslirp expects reaches
 * further than one that it does not.
 */

import { fragment, sealHeader } from './fragments.js'
import { ALICE, BOB, BROADCAST } from './frames.js'
import {
  arp,
  bytes4,
  dhcp,
  ethernet,
  etherType,
  ip,
  packetOf,
  protocol,
  segmentOf,
  tcp,
  tcpFlag,
  udp,
} from './packets.js'
import type { Random } from './random.js'

const ETHERNET = 14
const MAX_CONNECTIONS = 64
/** What libslirp's window takes of a connection that has brought nothing yet. */
const FULL_WINDOW = 131_072
/** A datagram of the largest size comes in 45 pieces. */
const MAX_PIECES = 45
const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

const guests = [
  { mac: ALICE, ip: '10.0.2.15', ip6: hex('fd00 0000 0000 0000 0000 0000 0000 0015') },
  { mac: BOB, ip: '10.0.2.16', ip6: hex('fd00 0000 0000 0000 0000 0000 0000 0016') },
  { mac: '52:55:55:66:93:02', ip: '10.0.2.17', ip6: hex('fe80 0000 0000 0000 0000 0000 0000 0017') },
  // Bytes 4 to 7 make a sequence number that libslirp cannot bear; those of the others make 0.
  { mac: '02:00:00:00:00:0d', ip: '10.0.2.18', ip6: hex('fd00 0000 0102 0304 0000 0000 0000 0018') },
]
const macs = ['52:55:0a:00:02:02', '52:55:0a:00:02:03', '52:56:00:00:00:02', BROADCAST, '33:33:00:01:00:02', BOB]
const destinations = [
  '10.0.2.2',
  '10.0.2.3',
  '10.0.2.16',
  '10.0.2.255',
  '255.255.255.255',
  '192.0.2.7',
  '127.0.0.1',
  '224.0.0.251',
]
const destinations6 = [
  hex('fd00 0000 0000 0000 0000 0000 0000 0002'),
  hex('fd00 0000 0000 0000 0000 0000 0000 0003'),
  hex('fe80 0000 0000 0000 0000 0000 0000 0002'),
  hex('ff02 0000 0000 0000 0000 0000 0001 0002'),
  hex('ff02 0000 0000 0000 0000 0001 ff00 0002'),
  hex('2001 0db8 0000 0000 0000 0000 0000 0007'),
  hex('0000 0000 0000 0000 0000 0000 0000 0001'),
]

interface Connection {
  readonly guest: (typeof guests)[number]
  readonly to: Uint8Array
  readonly from: number
  readonly port: number
  seq: number
  ack: number
}

export class SlirpFrames {
  readonly #random: Random
  /** Ports of the host that something listens on. */
  readonly #ports: readonly number[]
  readonly #connections: Connection[] = []
  readonly #waiting: Uint8Array[] = []
  #nextPort = 1024

  constructor(random: Random, ports: readonly number[]) {
    this.#random = random
    this.#ports = ports
  }

  next(): Uint8Array {
    const waiting = this.#waiting.pop()
    if (waiting !== undefined) return this.#spoilt(waiting, 0.02)
    return this.#spoilt(this.#good(), 0.35)
  }

  /** A frame that libslirp sent. */
  observe(frame: Uint8Array): void {
    const packet = packetOf(frame)
    if (packet?.protocol !== protocol.tcp || packet.payload.length < 20) return
    const { from, to, seq, ack, flags, data } = segmentOf(packet.payload)
    const connection = this.#connections.find(each => each.from === to && each.port === from)
    if (connection === undefined) return
    connection.ack = seq + data.length + (flags & (tcpFlag.syn | tcpFlag.fin) ? 1 : 0)
    connection.seq = ack
  }

  #good(): Uint8Array {
    const random = this.#random
    switch (random.between(0, 13)) {
      case 0:
        return this.#arp()
      case 1:
        return this.#dhcp()
      case 2:
        return this.#icmp()
      case 3:
      case 4:
        return this.#udp4(this.#data(random.between(0, 600)))
      case 5:
      case 6:
        return this.#fragments()
      case 7:
      case 8:
      case 9:
        return this.#tcp()
      case 10:
        return this.#dhcp6()
      case 11:
        return this.#discovery()
      case 12:
        return this.#udp6()
      default:
        return this.#noise()
    }
  }

  #arp(): Uint8Array {
    const random = this.#random
    const guest = random.pick(guests)
    const target = { mac: random.pick(macs), ip: random.pick([...destinations, guest.ip]) }
    return ethernet(random.pick(macs), guest.mac, etherType.arp, arp(random.pick([1, 2] as const), guest, target))
  }

  #dhcp(): Uint8Array {
    const random = this.#random
    const station = random.next() < 0.7 ? random.pick(guests).mac : `02:00:00:00:00:${random.between(16, 99)}`
    const options: [number, Uint8Array][] = []
    for (let i = random.between(0, 4); i > 0; i--) {
      const code = random.pick([50, 51, 53, 54, 55, 60, 61, 12, 0, 82])
      options.push([code, code === 50 ? bytes4(`10.0.2.${random.between(10, 40)}`) : this.#data(random.between(0, 40))])
    }
    const message = dhcp(random.pick([0, 1, 1, 3, 3, 4, 7, 8]), station, options)
    const padding = new Uint8Array(random.pick([0, 0, 60, 400]))
    const datagram = udp(68, 67, Buffer.concat([message, padding]))
    const to = random.pick(['255.255.255.255', '10.0.2.2', '10.0.2.3', '192.0.2.7'])
    return this.#ip4('0.0.0.0', to, protocol.udp, datagram, station)
  }

  #icmp(): Uint8Array {
    const random = this.#random
    const type = random.pick([0, 3, 5, 8, 8, 8, 11, 13, 17, 18, 255])
    const message = Buffer.concat([
      Uint8Array.of(type, random.pick([0, 1, 3]), 0, 0, 0, 1, 0, 1),
      this.#data(random.between(0, 100)),
    ])
    return this.#ip4(random.pick(guests).ip, random.pick(destinations), protocol.icmp, message)
  }

  #udp4(data: Uint8Array): Uint8Array {
    const random = this.#random
    const port = random.pick([53, 67, 69, 69, 7, 137, 547, 5353, ...this.#ports])
    const payload = port === 69 ? this.#tftp() : port === 53 ? this.#dns() : data
    const guest = random.pick(guests)
    return this.#ip4(
      guest.ip,
      random.pick(destinations),
      protocol.udp,
      udp(random.between(1024, 1100), port, payload),
      guest.mac,
    )
  }

  #tftp(): Uint8Array {
    const random = this.#random
    const words = ['a', '../etc/passwd', 'octet', 'netascii', 'tsize', '0', 'blksize', '65535', '']
    const text = Array.from({ length: random.between(0, 8) }, () => random.pick(words)).join('\0')
    return Buffer.concat([
      Uint8Array.of(0, random.between(0, 6)),
      Buffer.from(text),
      new Uint8Array(random.between(0, 1)),
    ])
  }

  #dns(): Uint8Array {
    return Buffer.concat([
      hex('1234 0100 0001 0000 0000 0000 03 777777 00 0001 0001'),
      this.#data(this.#random.between(0, 20)),
    ])
  }

  /** Fragments of a datagram, in some order; one now, the rest later. */
  #fragments(): Uint8Array {
    const random = this.#random
    const size = random.next() < 0.02 ? 65_000 : random.pick([100, 2000, 2000, 9000])
    const whole = random.next() < 0.7 ? this.#udp4(this.#data(size)) : this.#icmp()
    const data = whole.subarray(ETHERNET + 20)
    const step = size > 2000 || random.next() < 0.7 ? 1480 : random.pick([8, 64])
    const id = random.between(0, 8)
    const pieces: Uint8Array[] = []
    for (let offset = 0; offset < data.length && pieces.length < MAX_PIECES; offset += step) {
      const piece = data.subarray(offset, offset + step)
      pieces.push(fragment(whole, { id, offset, isMore: offset + step < data.length, data: piece }))
    }
    const fate = random.next()
    if (fate < 0.2) pieces.reverse()
    else if (fate < 0.5) pieces.sort(() => random.next() - 0.5)
    else if (fate < 0.6) pieces.push(...pieces)
    if (random.next() < 0.3) pieces.splice(random.between(0, pieces.length - 1), 1)
    const strange = {
      id,
      offset: random.pick([0, 8, 16, 1480, 65_528]),
      isMore: random.next() < 0.5,
      data: this.#data(random.pick([0, 8, 9, 1480])),
    }
    if (random.next() < 0.3) pieces.push(fragment(whole, strange))
    const now = pieces.pop() ?? whole
    this.#waiting.push(...pieces)
    return now
  }

  #tcp(): Uint8Array {
    const random = this.#random
    if (this.#connections.length === 0 || random.next() < 0.15) return this.#connect()
    const connection = random.pick(this.#connections)
    const { ack: synAck, fin, rst, psh, syn } = tcpFlag
    const flags = random.pick([
      synAck,
      synAck,
      synAck | psh,
      synAck | psh,
      synAck | fin,
      rst,
      rst | synAck,
      syn,
      fin,
      0x20 | synAck,
      0xff,
      0,
    ])
    const game = random.next() < 0.25 ? this.#game(connection) : null
    if (game !== null) return game
    const isInOrder = random.next() < 0.7
    const data = random.next() < 0.6 ? this.#data(random.pick([0, 1, 100, 536, 1460])) : new Uint8Array()
    const near = () => random.pick([-70_000, -1500, -1, 1, 1460, 65_535, 2 ** 31])
    const seq = isInOrder ? connection.seq : connection.seq + near()
    const ack = random.next() < 0.8 ? connection.ack : connection.ack + near()
    if (isInOrder) connection.seq += data.length + (flags & fin ? 1 : 0)
    return this.#segment(connection, { seq, ack, flags, data })
  }

  /** Data or a FIN that end on, before or behind the number that libslirp cannot bear, if the connection is near it. */
  #game(connection: Connection): Uint8Array | null {
    const random = this.#random
    const forbidden = forbiddenFor(connection)
    const gap = (forbidden - connection.seq) | 0
    if (gap < -FULL_WINDOW || gap > FULL_WINDOW) return null
    const { ack: isAck, fin } = tcpFlag
    const length = random.pick([0, 1, 2, 10, 100, 1460])
    const end = forbidden + random.pick([-1, 0, 0, 0, 1, 2, 5, 700])
    // Half of them fill what lies before, so that libslirp comes to the data that wait.
    const isFilling = gap > 0 && random.next() < 0.5
    const seq = isFilling ? connection.seq : end - length
    const data = this.#data(isFilling ? Math.max(0, Math.min(gap + random.pick([-10, -1, 0, 1]), 1460)) : length)
    const flags = random.pick([isAck, isAck, isAck | fin])
    return this.#segment(connection, { seq, ack: connection.ack, flags, data })
  }

  #connect(): Uint8Array {
    const random = this.#random
    const guest = random.pick(guests)
    const isIpv6 = random.next() < 0.3
    const to = isIpv6
      ? random.pick(destinations6)
      : bytes4(random.pick(['10.0.2.2', '10.0.2.2', '10.0.2.3', '192.0.2.7']))
    this.#nextPort = 1024 + ((this.#nextPort - 1023) % 4000)
    const near = random.pick([0, 1, 2, 21, 700, 65_536, FULL_WINDOW + 1, FULL_WINDOW + 333, 2 ** 31])
    const seq = (forbiddenFor({ guest, to }) - near) >>> 0
    const connection: Connection = {
      guest,
      to,
      from: this.#nextPort,
      port: random.pick([9, 23, ...this.#ports, ...this.#ports]),
      seq: seq + 1,
      ack: 0,
    }
    if (this.#connections.length >= MAX_CONNECTIONS) this.#connections.splice(random.between(0, MAX_CONNECTIONS - 1), 1)
    this.#connections.push(connection)
    return this.#segment(connection, { seq, ack: 0, flags: tcpFlag.syn, data: new Uint8Array() })
  }

  #segment(
    { guest, to, from, port }: Connection,
    fields: { seq: number; ack: number; flags: number; data: Uint8Array },
  ): Uint8Array {
    const random = this.#random
    const options = random.next() < 0.4 ? this.#options() : new Uint8Array()
    const plain = tcp({ from, to: port, ...fields, data: Buffer.concat([options, fields.data]) })
    const segment = Buffer.from(plain)
    segment[12] = ((20 + options.length) / 4) << 4
    segment.writeUInt16BE(random.pick([0xffff, 0xffff, 0, 1, 5000]), 14)
    segment.writeUInt16BE(random.pick([0, 0, 1, 100, 0xffff]), 18)
    const source = to.length === 16 ? guest.ip6 : bytes4(guest.ip)
    const type = to.length === 16 ? etherType.ipv6 : etherType.ipv4
    const mac = to.length === 16 ? '52:56:00:00:00:02' : '52:55:0a:00:02:02'
    return ethernet(mac, guest.mac, type, ip(source, to, protocol.tcp, segment))
  }

  #options(): Uint8Array {
    const random = this.#random
    const all = [
      hex('02 04 05b4'),
      hex('02 04 0000'),
      hex('02 04 ffff'),
      hex('01 01 01 01'),
      hex('03 03 07 01'),
      hex('08 0a 00000001 00000000 01 01'),
      hex('02 00 00 00'),
      hex('fe ff 00 00'),
      hex('00 00 00 00'),
    ]
    return Buffer.concat(Array.from({ length: random.between(1, 3) }, () => random.pick(all)))
  }

  #dhcp6(): Uint8Array {
    const random = this.#random
    const option = (code: number, length: number, bytes: number) =>
      Buffer.concat([Uint8Array.of(0, code, length >> 8, length), this.#data(bytes)])
    const options = Array.from({ length: random.between(0, 6) }, () => {
      const length = random.pick([0, 2, 4, 14, 256, 257])
      return option(random.pick([1, 5, 6, 8, 23, 59]), length, random.next() < 0.9 ? length : random.between(0, 20))
    })
    if (random.next() < 0.5) options.push(Buffer.from([0, 6, 0, 4, 0, 23, 0, 59]))
    const message = Buffer.concat([Uint8Array.of(random.pick([11, 11, 11, 1, 3]), 1, 2, 3), ...options])
    return this.#ip6(random.pick(destinations6), protocol.udp, udp(546, 547, message))
  }

  #udp6(): Uint8Array {
    const random = this.#random
    const port = random.pick([53, 69, 547, ...this.#ports])
    return this.#ip6(
      random.pick(destinations6),
      protocol.udp,
      udp(random.between(1024, 1100), port, port === 69 ? this.#tftp() : this.#data(random.between(0, 2000))),
    )
  }

  #discovery(): Uint8Array {
    const random = this.#random
    const type = random.pick([128, 128, 129, 133, 134, 135, 135, 136, 136, 137, 1, 2, 143])
    const target =
      random.next() < 0.7 ? random.pick([...destinations6, ...guests.map(({ ip6 }) => ip6)]) : this.#data(16)
    const options = Array.from({ length: random.between(0, 2) }, () =>
      Buffer.concat([Uint8Array.of(random.between(1, 5), random.pick([0, 1, 1, 1, 4, 255])), this.#data(6)]),
    )
    const message = Buffer.concat([Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0), target, ...options])
    const next = random.next() < 0.9 ? protocol.icmpv6 : random.pick([0, 43, 44, 51, 60])
    const frame = this.#ip6(random.pick(destinations6), next, message)
    if (random.next() < 0.9) frame[ETHERNET + 7] = 255
    return frame
  }

  #noise(): Uint8Array {
    const random = this.#random
    const payload = this.#data(random.between(0, 1500))
    return ethernet(
      random.pick(macs),
      random.pick(guests).mac,
      random.pick([0x0800, 0x86dd, 0x0806, 0x88f8, 0x8100]),
      payload,
    )
  }

  #ip4(from: string, to: string, proto: number, payload: Uint8Array, mac = this.#random.pick(guests).mac): Uint8Array {
    const random = this.#random
    const frame = ethernet(
      random.next() < 0.7 ? '52:55:0a:00:02:02' : random.pick(macs),
      mac,
      etherType.ipv4,
      ip(bytes4(from), bytes4(to), proto, payload),
    )
    if (random.next() < 0.05) {
      frame[ETHERNET + 8] = random.between(0, 2)
      sealHeader(frame)
    }
    return frame
  }

  #ip6(to: Uint8Array, proto: number, payload: Uint8Array): Uint8Array {
    const random = this.#random
    const guest = random.pick(guests)
    const source = random.next() < 0.9 ? guest.ip6 : new Uint8Array(16)
    const mac = to[0] === 0xff ? '33:33:00:01:00:02' : '52:56:00:00:00:02'
    return ethernet(
      random.next() < 0.8 ? mac : random.pick(macs),
      guest.mac,
      etherType.ipv6,
      ip(source, to, proto, payload),
    )
  }

  /** With this probability, wrong in one place or several. */
  #spoilt(frame: Uint8Array, probability: number): Uint8Array {
    const random = this.#random
    if (random.next() >= probability || frame.length === 0) return frame
    let spoilt: Uint8Array = Uint8Array.from(frame)
    for (let i = random.pick([1, 1, 1, 2, 4]); i > 0; i--) spoilt = this.#change(spoilt)
    if (spoilt.length >= ETHERNET + 20 && spoilt[12] === 8 && spoilt[13] === 0 && random.next() < 0.8) seal(spoilt)
    return spoilt
  }

  #change(frame: Uint8Array): Uint8Array {
    const random = this.#random
    const end = frame.length - 1
    const place = random.between(0, Math.min(end, random.pick([34, 60, end])))
    switch (random.between(0, 5)) {
      case 0:
        frame[place] ^= 1 << random.between(0, 7)
        return frame
      case 1:
        frame[place] = random.pick([0, 1, 4, 5, 6, 7, 8, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0xfe, 0xff])
        return frame
      case 2:
        return frame.slice(0, random.between(0, end))
      case 3:
        return Buffer.concat([frame, this.#data(random.pick([1, 4, 18, 200]))])
      case 4:
        // The total length of IPv4 or the payload length of IPv6, and the lengths of UDP.
        frame[random.pick([16, 17, 18, 19, 38, 39, 58, 59])] = random.between(0, 255)
        return frame
      default:
        frame[ETHERNET + random.pick([0, 6, 6, 7, 8, 9])] = random.between(0, 255)
        return frame
    }
  }

  #data(length: number): Uint8Array {
    const bytes = Buffer.allocUnsafe(length)
    return bytes.fill(this.#random.between(0, 255))
  }
}

/** The sequence number that libslirp 4.7.0 cannot bear (src/slirp/sequence-guard.ts). */
function forbiddenFor({ guest, to }: Pick<Connection, 'guest' | 'to'>): number {
  return to.length === 16 ? Buffer.from(guest.ip6).readUInt32LE(4) : 0
}

/** Puts the checksums of IPv4, and of UDP, TCP and ICMP in it, right where the lengths allow it. */
function seal(frame: Uint8Array): void {
  const header = (frame[ETHERNET] & 15) * 4
  if (header < 20 || ETHERNET + header > frame.length) return
  const packet = (frame[ETHERNET + 2] << 8) | frame[ETHERNET + 3]
  const transport = ETHERNET + header
  const end = Math.min(frame.length, ETHERNET + packet)
  const place = { 1: 2, 6: 16, 17: 6 }[frame[ETHERNET + 9]]
  if (place !== undefined && transport + place + 2 <= end) {
    const proto = frame[ETHERNET + 9] as number
    frame[transport + place] = 0
    frame[transport + place + 1] = 0
    let sum = proto === 1 ? 0 : proto + (end - transport) + sumOf(frame, ETHERNET + 12, ETHERNET + 20)
    sum += sumOf(frame, transport, end)
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
    frame[transport + place] = ~sum >> 8
    frame[transport + place + 1] = ~sum
  }
  sealHeader(frame)
}

function sumOf(bytes: Uint8Array, from: number, end: number): number {
  let sum = 0
  for (let i = from; i < end; i += 2) sum += (bytes[i] << 8) | (i + 1 < end ? bytes[i + 1] : 0)
  return sum
}
