/** Frames with IP packets in them, made and read, as far as a guest in a test needs them. Addresses as bytes. */
import { BROADCAST, macOf, putMac } from './frames.js'

export const etherType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const
export const protocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const
export const tcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const

const ETHERNET = 14

export const bytes4 = (address: string): Uint8Array => Uint8Array.from(address.split('.').map(Number))
export const text4 = (bytes: Uint8Array): string => bytes.join('.')

export function ethernet(to: string, from: string, type: number, payload: Uint8Array): Uint8Array {
  return Buffer.concat([macBytes(to), macBytes(from), word(type), payload])
}

/** `source` and `destination` of 4 or 16 bytes say which IP it is. */
export function ip(source: Uint8Array, destination: Uint8Array, proto: number, payload: Uint8Array): Uint8Array {
  const body = withChecksum(source, destination, proto, payload)
  if (source.length === 16) {
    const header = Buffer.concat([Uint8Array.of(0x60, 0, 0, 0), word(body.length), Uint8Array.of(proto, 64), source])
    return Buffer.concat([header, destination, body])
  }
  const header = Buffer.concat([
    Uint8Array.of(0x45, 0),
    word(20 + body.length),
    Uint8Array.of(0, 1, 0x40, 0, 64, proto, 0, 0),
    source,
    destination,
  ])
  header.writeUInt16BE(checksum(header), 10)
  return Buffer.concat([header, body])
}

export const udp = (from: number, to: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([word(from), word(to), word(8 + payload.length), word(0), payload])

export interface Segment {
  from: number
  to: number
  seq: number
  ack?: number
  flags: number
  data?: Uint8Array
}

export function tcp({ from, to, seq, ack = 0, flags, data = new Uint8Array() }: Segment): Uint8Array {
  const header = Buffer.alloc(20)
  header.writeUInt16BE(from, 0)
  header.writeUInt16BE(to, 2)
  header.writeUInt32BE(seq >>> 0, 4)
  header.writeUInt32BE(ack >>> 0, 8)
  header[12] = 0x50
  header[13] = flags
  header.writeUInt16BE(0xffff, 14)
  return Buffer.concat([header, data])
}

export const echoRequest = (sequence: number): Uint8Array =>
  Buffer.concat([Uint8Array.of(8, 0, 0, 0), word(0x1234), word(sequence), Buffer.from('tapswitch')])

export function arp(operation: 1 | 2, from: { mac: string; ip: string }, to: { mac: string; ip: string }): Uint8Array {
  return Buffer.concat([
    Uint8Array.of(0, 1, 8, 0, 6, 4, 0, operation),
    macBytes(from.mac),
    bytes4(from.ip),
    macBytes(to.mac),
    bytes4(to.ip),
  ])
}

/** What a frame carries; null where it is not IPv4 or IPv6. */
export interface Packet {
  source: Uint8Array
  destination: Uint8Array
  protocol: number
  payload: Uint8Array
}

export function packetOf(frame: Uint8Array): Packet | null {
  const type = typeOf(frame)
  const body = frame.subarray(ETHERNET)
  if (type === etherType.ipv4) {
    const header = (body[0] & 15) * 4
    const length = (body[2] << 8) | body[3]
    return {
      source: body.subarray(12, 16),
      destination: body.subarray(16, 20),
      protocol: body[9],
      payload: body.subarray(header, length),
    }
  }
  if (type !== etherType.ipv6) return null
  return {
    source: body.subarray(8, 24),
    destination: body.subarray(24, 40),
    protocol: body[6],
    payload: body.subarray(40, 40 + ((body[4] << 8) | body[5])),
  }
}

export const typeOf = (frame: Uint8Array): number => (frame[12] << 8) | frame[13]

export function segmentOf(payload: Uint8Array): Required<Segment> {
  const view = Buffer.from(payload)
  return {
    from: view.readUInt16BE(0),
    to: view.readUInt16BE(2),
    seq: view.readUInt32BE(4),
    ack: view.readUInt32BE(8),
    flags: view[13],
    data: view.subarray((view[12] >> 4) * 4),
  }
}

/** DHCP options of a BOOTP message by their numbers. */
export function dhcpOptions(message: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>()
  for (let at = 240; at < message.length && message[at] !== 255; ) {
    if (message[at] === 0) at++
    else {
      options.set(message[at], message.subarray(at + 2, at + 2 + message[at + 1]))
      at += 2 + message[at + 1]
    }
  }
  return options
}

export function dhcp(type: number, mac: string, options: readonly [number, Uint8Array][] = []): Uint8Array {
  const message = Buffer.alloc(240)
  message.set([1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78])
  message.set(macBytes(mac), 28)
  message.set([0x63, 0x82, 0x53, 0x63], 236)
  const encoded = options.map(([number, value]) => Buffer.concat([Uint8Array.of(number, value.length), value]))
  return Buffer.concat([message, Uint8Array.of(53, 1, type), ...encoded, Uint8Array.of(255)])
}

export const everyone = BROADCAST

const word = (value: number): Uint8Array => Uint8Array.of(value >> 8, value)

function macBytes(mac: string): Uint8Array {
  const bytes = new Uint8Array(6)
  putMac(bytes, 0, macOf(mac))
  return bytes
}

function withChecksum(source: Uint8Array, destination: Uint8Array, proto: number, payload: Uint8Array): Uint8Array {
  const at = { [protocol.icmp]: 2, [protocol.icmpv6]: 2, [protocol.tcp]: 16, [protocol.udp]: 6 }[proto]
  if (at === undefined) return payload
  const body = Buffer.from(payload)
  body.writeUInt16BE(0, at)
  const pseudo = Buffer.concat([source, destination, Uint8Array.of(0, proto), word(body.length)])
  body.writeUInt16BE(checksum(proto === protocol.icmp ? body : Buffer.concat([pseudo, body])), at)
  return body
}

function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}
