/** Addresses of unix sockets as the kernel wants them (struct sockaddr_un), and as people read them. */
import type { Layout } from './layout.js'

/** Size of the storage for any address this module makes or the kernel returns, rounded up to whole words. */
export const SOCKADDR_UN_STORAGE = 112

/** Encodes a path. Throws RangeError where it does not fit; callers check first, to say it in the operator's words. */
export function encodeUnixAddress(layout: Layout, path: string): Uint8Array {
  const { pathOffset, familyOffset, pathSize } = layout.sockaddrUn
  const bytes = Buffer.from(path)
  if (bytes.length >= pathSize) throw new RangeError(`socket path of ${bytes.length} bytes, at most ${pathSize - 1}`)
  // One NUL after the path: Linux counts a path of the full size without it, but other programs print it with strlen.
  const address = new Uint8Array(pathOffset + bytes.length + 1)
  address[familyOffset] = layout.constants.AF_UNIX
  if (layout.platform === 'darwin') address[0] = address.length
  address.set(bytes, pathOffset)
  return address
}

/** The path in an address, '@name' for Linux's abstract names, undefined for a socket that was never bound. */
export function decodeUnixAddress(layout: Layout, address: Uint8Array): string | undefined {
  const { pathOffset, abstractNames } = layout.sockaddrUn
  if (address.length <= pathOffset) return undefined
  const path = Buffer.from(address.subarray(pathOffset))
  if (path[0] === 0) {
    if (!abstractNames || path.length === 1) return undefined
    return `@${printable(path.subarray(1))}`
  }
  const end = path.indexOf(0)
  return printable(end < 0 ? path : path.subarray(0, end))
}

// A peer chooses its own address: it must not be able to write control characters into logs and tables.
function printable(bytes: Buffer): string {
  return bytes.toString().replace(/[\p{Cc}\p{Cf}\u2028\u2029\ufffd]/gu, '?')
}
