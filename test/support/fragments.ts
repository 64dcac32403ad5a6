/** IPv4 fragments of a packet, as a host sends them. */
const ETHERNET = 14
const HEADER = 20

/** `mtu`: bytes of the longest packet. The frames are in the order of the data. */
export function fragmentsOf(frame: Uint8Array, id: number, mtu = 1500): Uint8Array[] {
  const data = frame.subarray(ETHERNET + HEADER)
  const step = (mtu - HEADER) & ~7
  const count = Math.ceil(data.length / step)
  return Array.from({ length: count }, (_, i) => {
    const piece = data.subarray(i * step, (i + 1) * step)
    return fragment(frame, { id, offset: i * step, isMore: i < count - 1, data: piece })
  })
}

/** A fragment with the addresses and the protocol of a frame; `offset` in bytes. */
export function fragment(
  frame: Uint8Array,
  { id, offset, isMore, data }: { id: number; offset: number; isMore: boolean; data: Uint8Array },
): Uint8Array {
  const made = Buffer.concat([frame.subarray(0, ETHERNET + HEADER), data])
  made.writeUInt16BE(HEADER + data.length, ETHERNET + 2)
  made.writeUInt16BE(id, ETHERNET + 4)
  made.writeUInt16BE((isMore ? 0x2000 : 0) | (offset / 8), ETHERNET + 6)
  sealHeader(made)
  return made
}

/** Puts the right checksum into an IPv4 header. */
export function sealHeader(frame: Uint8Array): void {
  const header = (frame[ETHERNET] & 15) * 4
  frame[ETHERNET + 10] = 0
  frame[ETHERNET + 11] = 0
  let sum = 0
  for (let i = ETHERNET; i < ETHERNET + header; i += 2) sum += (frame[i] << 8) | frame[i + 1]
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  frame[ETHERNET + 10] = ~sum >> 8
  frame[ETHERNET + 11] = ~sum
}
