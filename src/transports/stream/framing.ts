/**
 * How frames follow each other in a stream: each behind its length.
 *
 * - `qemu`: 4 bytes, big-endian. QEMU's stream and socket netdevs, passt, libkrun, socket_vmnet, gvproxy's
 *   -listen-qemu.
 * - `hyperkit`: 2 bytes, little-endian. gvproxy's stdio protocol and hyperkit.
 *
 * A length that no speaker of the protocol would send (0, or more than QEMU itself takes) means that the two ends have
 * lost each other, and there is no way to find a frame again. A frame that is only too long for this switch is no such
 * thing.
 */
export const framings = ['qemu', 'hyperkit'] as const
export type FramingName = (typeof framings)[number]

/** Bytes of the length in front of each frame. */
export const prefixBytes = (framing: FramingName): number => (framing === 'qemu' ? 4 : 2)

/** NET_BUFSIZE of QEMU (include/net/net.h): it closes the connection when it gets more. */
export const MAX_LENGTH = 4096 + 65_536

/** Encodes the length of a frame, for whoever builds streams by hand. */
export function encodePrefix(framing: FramingName, length: number): Buffer {
  const prefix = Buffer.alloc(prefixBytes(framing))
  if (framing === 'qemu') prefix.writeUInt32BE(length)
  else prefix.writeUInt16LE(length)
  return prefix
}
