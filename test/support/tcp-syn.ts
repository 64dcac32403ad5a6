/** The first segment of a TCP connection, as a frame: for what no guest's own kernel would send. */
import { parseIpv4 } from '#src/wire/ip-address.js'
import { macOf, putMac } from './frames.js'

export interface Syn {
  source: { mac: string; address: string; port: number }
  destination: { mac: string; address: string; port: number }
}

export function tcpSyn({ source, destination }: Syn): Uint8Array {
  const frame = new Uint8Array(14 + 20 + 20)
  const view = new DataView(frame.buffer)
  putMac(frame, 0, macOf(destination.mac))
  putMac(frame, 6, macOf(source.mac))
  view.setUint16(12, 0x0800)
  // RFC 791: version and length, total length, time to live 64, protocol 6.
  view.setUint16(14, 0x4500)
  view.setUint16(16, 40)
  view.setUint16(22, 0x4006)
  view.setUint32(26, parseIpv4(source.address) ?? 0)
  view.setUint32(30, parseIpv4(destination.address) ?? 0)
  view.setUint16(24, checksum(frame.subarray(14, 34), 0))
  // RFC 9293: ports, sequence number, five words of header, SYN, window.
  view.setUint16(34, source.port)
  view.setUint16(36, destination.port)
  view.setUint32(38, 1)
  view.setUint16(46, 0x5002)
  view.setUint16(48, 65_535)
  const pseudoHeader = sum(frame.subarray(26, 34)) + 6 + 20
  view.setUint16(50, checksum(frame.subarray(34), pseudoHeader))
  return frame
}

/** What a frame says, where it is a TCP segment over IPv4 without options. */
export function readTcp(
  frame: Uint8Array,
): { from: string; fromPort: number; toPort: number; flags: string } | undefined {
  if (frame.length < 54 || frame[12] !== 0x08 || frame[13] !== 0 || frame[23] !== 6) return undefined
  const view = new DataView(frame.buffer, frame.byteOffset)
  const bits = frame[47] ?? 0
  const flags = [
    ['SYN', 0x02],
    ['ACK', 0x10],
    ['RST', 0x04],
  ] as const
  return {
    from: frame.subarray(26, 30).join('.'),
    fromPort: view.getUint16(34),
    toPort: view.getUint16(36),
    flags: flags
      .filter(([, bit]) => (bits & bit) !== 0)
      .map(([name]) => name)
      .join('+'),
  }
}

function checksum(bytes: Uint8Array, start: number): number {
  let total = start + sum(bytes)
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16)
  return ~total & 0xffff
}

function sum(bytes: Uint8Array): number {
  let total = 0
  for (let i = 0; i < bytes.length; i += 2) total += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)
  return total
}
