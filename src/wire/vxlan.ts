/**
 * The VXLAN header (RFC 7348 section 5), eight bytes between UDP and the inner Ethernet frame:
 *
 *     |R|R|R|R|I|R|R|R|            Reserved                           |
 *     |                VXLAN Network Identifier (VNI) |   Reserved    |
 *
 * Sent with I set and every reserved bit zero. Received, the RFC would have reserved bits ignored; but their users
 * since then change what follows (GPE: no Ethernet frame; GBP: a policy that is not ours to ignore), so a header with
 * any of them set is refused, as Linux refuses it.
 */
export const VXLAN_HEADER_SIZE = 8
export const VXLAN_PORT = 4789
export const MAX_VNI = 0xffffff

export function vxlanHeader(vni: number): Uint8Array {
  return Uint8Array.of(0x08, 0, 0, 0, vni >>> 16, (vni >>> 8) & 0xff, vni & 0xff, 0)
}

/** The VNI of the header at `at`, or -1 when it is not one we may take. */
export function vniOf(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== 0x08 || (bytes[at + 1] | bytes[at + 2] | bytes[at + 3] | bytes[at + 7]) !== 0) return -1
  return (bytes[at + 4] << 16) | (bytes[at + 5] << 8) | bytes[at + 6]
}
