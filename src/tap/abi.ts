/**
 * What the kernel wants to be told about a TAP: the numbers of its ioctls and struct ifreq.
 *
 *     struct ifreq, 40 bytes:  name, NUL-padded @0..15 | union @16: flags (u16), mtu or ifindex (s32),
 *                              hardware address (family u16 @16, six octets @18)
 *
 * From include/uapi/linux/{if_tun,sockios,if,if_arp}.h; the same on x86_64 and arm64 (asm-generic/ioctl.h). TUNSETIFF
 * says four bytes in its number and takes all forty.
 */
import { errno, libc } from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'

export const TUNSETIFF = 0x400454ca
export const TUNSETPERSIST = 0x400454cb
export const TUNSETOWNER = 0x400454cc
export const TUNGETIFF = 0x800454d2
export const SIOCGIFFLAGS = 0x8913
export const SIOCSIFFLAGS = 0x8914
export const SIOCGIFMTU = 0x8921
export const SIOCSIFMTU = 0x8922
export const SIOCSIFHWADDR = 0x8924
export const SIOCGIFHWADDR = 0x8927
export const SIOCGIFINDEX = 0x8933

export const IFF_TAP = 0x0002
/** Frames without four bytes of flags and protocol in front. */
export const IFF_NO_PI = 0x1000
export const IFF_PERSIST = 0x0800
export const IFF_UP = 0x1

const ARPHRD_ETHER = 1
const NAME_SIZE = 16
const IFREQ_SIZE = 40
const UNION = 16

/** Longest name of an interface: IFNAMSIZ without its NUL. */
export const MAX_NAME_BYTES = NAME_SIZE - 1

export const AF_INET = 2
export const SOCK_DGRAM_CLOEXEC = 2 | 0x80000

/** One ifreq, used again for each call. */
export class Ifreq {
  readonly memory = new NativeMemory(IFREQ_SIZE)

  /** Clears everything and names an interface. */
  constructor(name: string) {
    this.name = name
  }

  set name(name: string) {
    const bytes = Buffer.from(name)
    if (bytes.length > MAX_NAME_BYTES) throw new RangeError(`interface name of ${bytes.length} bytes`)
    this.memory.bytes.fill(0)
    this.memory.bytes.set(bytes)
  }

  /** As the kernel wrote it back, where a pattern was given. */
  get name(): string {
    const { bytes } = this.memory
    return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString()
  }

  get flags(): number {
    return this.memory.words[UNION >> 2] & 0xffff
  }

  set flags(flags: number) {
    this.memory.words[UNION >> 2] = flags
  }

  /** MTU or interface index. */
  get value(): number {
    return this.memory.words[UNION >> 2]
  }

  set value(value: number) {
    this.memory.words[UNION >> 2] = value
  }

  /** Lower case, colons. */
  get mac(): string {
    return Array.from(this.memory.bytes.subarray(UNION + 2, UNION + 8), octet =>
      octet.toString(16).padStart(2, '0'),
    ).join(':')
  }

  set mac(mac: string) {
    this.memory.words[UNION >> 2] = ARPHRD_ETHER
    this.memory.bytes.set(
      mac.split(':').map(octet => Number.parseInt(octet, 16)),
      UNION + 2,
    )
  }
}

const call = libc.func('int ioctl(int fd, unsigned long request, ...)') as unknown as (...args: unknown[]) => number

/** With a structure. Returns 0 or more, or a negated error number. */
export function ioctl(fd: number, request: number, { memory }: Ifreq): number {
  const result = call(fd, request, 'uintptr_t', memory.address)
  return result >= 0 ? result : -errno()
}

/** With a number in place of the pointer. */
export function ioctlValue(fd: number, request: number, value: number): number {
  const result = call(fd, request, 'uintptr_t', value)
  return result >= 0 ? result : -errno()
}
