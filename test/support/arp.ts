/** Asking who has an address, as a station on a unix socket. */
import { parseIpv4 } from '#src/wire/ip-address.js'
import { macOf, putMac } from './frames.js'
import type { RawPeer } from './raw-peer.js'

const OWN = '02:00:00:00:00:99'

/** Resolves with the MAC address of the answer; rejects when none comes in a bounded time. */
export async function arpFor(station: RawPeer, own: string, wanted: string): Promise<string> {
  const request = new Uint8Array(42)
  const view = new DataView(request.buffer)
  putMac(request, 0, macOf('ff:ff:ff:ff:ff:ff'))
  putMac(request, 6, macOf(OWN))
  // RFC 826: Ethernet, IPv4, lengths 6 and 4, request.
  request.set([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1], 12)
  putMac(request, 22, macOf(OWN))
  view.setUint32(28, parseIpv4(own) ?? 0)
  view.setUint32(38, parseIpv4(wanted) ?? 0)
  await station.send([request])
  for (;;) {
    const frame = await station.receive()
    const from = frame.subarray(28, 32).join('.')
    if (frame[12] !== 0x08 || frame[13] !== 0x06 || frame[21] !== 2 || from !== wanted) continue
    return Array.from(frame.subarray(22, 28), octet => octet.toString(16).padStart(2, '0')).join(':')
  }
}
