/**
 * Keeps libslirp from a sequence number that it cannot bear. tcp_reass of libslirp 4.7.0 (tcp_input.c) hands on
 * segments that waited for an earlier one, and its loop is to end at the head of their list. It compares with the wrong
 * pointer, so it takes the head, which lies in the connection's control block, for another segment whenever "its
 * sequence number" is the number expected next. It then reads an mbuf from a wild address.
 *
 * What it reads as the head's sequence number are the four bytes at `t_template + 28` (tcpcb, tcpiphdr; the same on
 * machines of 32 and of 64 bits): zero for IPv4, bytes 4 to 7 of the guest's address for IPv6, in the order of this
 * machine. The loop ends with this *forbidden* number expected next only where the data of a segment with data or FIN
 * end there. So none may, not even after libslirp has cut it to its window:
 *
 * - **Data that cross the number** pass where libslirp says that its window takes all of them. It is asked at that
 *   moment, by an old segment without data, which it answers at once with an acknowledgement. Otherwise the segment is
 *   cut one byte before the number. A guest that keeps to the window, as all honest ones do, is not cut.
 * - **Data that end on the number, or a FIN on it**, cannot be given in any form: libslirp does not say which state
 *   makes them safe. The connection is reset at both ends. This meets one segment in 2^32: an upload of some terabytes.
 * - **Data on a SYN** that reach the number are left out; the guest sends them again.
 */
import { NativeMemory } from '../os/native-memory.js'
import { word } from './stack-addresses.js'
import { headerChecksum, isTcpChecksumRight, tcpChecksum } from './well-formed.js'

const IP = 14
const IPV6_HEADER = 40
const TCP = 6
const FIN = 0x01
const SYN = 0x02
const RST = 0x04
const ACK = 0x10
/** The largest headers: Ethernet, IPv4 with options, TCP with options. */
const HEADERS = 14 + 60 + 60
/** So far before the number, a segment is old wherever near the number libslirp stands. */
const OLD = 2 ** 30
const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

export class SequenceGuard {
  readonly #give: (address: number, length: number) => void
  /** Made for the first question: most stacks never ask one. */
  #question: NativeMemory | null = null
  #isAsking = false
  #hasHeard = false
  #fits = false
  /** Of the segment that is asked about: where its data end. */
  #end = 0

  constructor(give: (address: number, length: number) => void) {
    this.#give = give
  }

  /**
   * Whether libslirp may not get the segment as it is. It lies at `at` of `bytes`, up to `end`, in an IP packet at
   * `ip`.
   */
  concerns(bytes: Uint8Array, ip: number, at: number, end: number): boolean {
    const flags = bytes[at + 13]
    const length = end - at - headerOf(bytes, at)
    if ((flags & RST) !== 0 || (length === 0 && (flags & FIN) === 0)) return false
    const distance = distanceOf(bytes, ip, at)
    if ((flags & SYN) !== 0) return distance <= length
    return length === 0 ? distance === 0 : distance > 0 && distance <= length
  }

  /**
   * Gives libslirp what it may get of a segment that `concerns` says yes to; the frame is at `frame` of `bytes` and at
   * `address` for C. The frame is changed. False where some of the segment, or all of it, was kept back.
   */
  admit(bytes: Uint8Array, frame: number, at: number, end: number, address: number): boolean {
    const ip = frame + IP
    // A new checksum must not make data right that were damaged on their way.
    if (!isTcpChecksumRight(bytes, ip, at, end)) return false
    const distance = distanceOf(bytes, ip, at)
    const header = at + headerOf(bytes, at)
    if ((bytes[at + 13] & SYN) !== 0) {
      bytes[at + 13] &= ~FIN
      this.#giveUpTo(header, bytes, frame, at, address)
      return false
    }
    if (distance === end - header) {
      // The first ends libslirp's connection, the second is to none and makes it reset the guest's.
      for (const flags of [RST | ACK, ACK]) {
        bytes[at + 13] = flags
        this.#giveUpTo(header, bytes, frame, at, address)
      }
      return false
    }
    if (this.#ask(bytes, frame, at, header, word(bytes, at + 4) + end - header, distance)) {
      this.#give(address, end - frame)
      return true
    }
    if (distance > 1) {
      bytes[at + 13] = ACK
      this.#giveUpTo(header + distance - 1, bytes, frame, at, address)
    }
    return false
  }

  /**
   * A frame that libslirp sends. Only what it sends while it is asked counts: then it cannot be of a connection before.
   */
  hear(bytes: Uint8Array, offset: number): void {
    if (!this.#isAsking) return
    const ip = offset + IP
    const isIpv6 = bytes[ip] >> 4 === 6
    const at = ip + (isIpv6 ? IPV6_HEADER : (bytes[ip] & 15) * 4)
    const asked = (this.#question as NativeMemory).bytes
    if (!isAnswer(bytes, ip, at, asked, isIpv6)) return
    this.#hasHeard = true
    const edge = word(bytes, at + 8) + ((bytes[at + 14] << 8) | bytes[at + 15])
    if ((bytes[at + 13] & RST) !== 0 || ((edge - this.#end) | 0) < 0) this.#fits = false
  }

  /** Whether libslirp's window takes data up to `dataEnd`. */
  #ask(bytes: Uint8Array, frame: number, at: number, header: number, dataEnd: number, distance: number): boolean {
    this.#question ??= new NativeMemory(HEADERS)
    const { bytes: question, address } = this.#question
    question.set(bytes.subarray(frame, header))
    const tcp = at - frame
    putWord(question, tcp + 4, word(bytes, at + 4) + distance - OLD)
    question[tcp + 13] = ACK
    this.#end = dataEnd
    this.#hasHeard = false
    this.#fits = true
    this.#isAsking = true
    try {
      this.#giveUpTo(header - frame, question, 0, tcp, address)
    } finally {
      this.#isAsking = false
    }
    return this.#hasHeard && this.#fits
  }

  /** The frame up to `end`, its lengths and checksums made anew. */
  #giveUpTo(end: number, bytes: Uint8Array, frame: number, at: number, address: number): void {
    const ip = frame + IP
    if (bytes[ip] >> 4 === 6) {
      putHalf(bytes, ip + 4, end - at)
    } else {
      putHalf(bytes, ip + 2, end - ip)
      putHalf(bytes, ip + 10, 0)
      putHalf(bytes, ip + 10, headerChecksum(bytes, ip, at - ip))
    }
    putHalf(bytes, at + 16, 0)
    putHalf(bytes, at + 16, tcpChecksum(bytes, ip, at, end))
    this.#give(address, end - frame)
  }
}

const headerOf = (bytes: Uint8Array, at: number): number => (bytes[at + 12] >> 4) * 4

/** From the first byte of a segment's data to the forbidden number, 0 to 2^32 - 1. */
function distanceOf(bytes: Uint8Array, ip: number, at: number): number {
  const first = word(bytes, at + 4) + ((bytes[at + 13] & SYN) === 0 ? 0 : 1)
  return (forbidden(bytes, ip) - first) >>> 0
}

function forbidden(bytes: Uint8Array, ip: number): number {
  if (bytes[ip] >> 4 !== 6) return 0
  const at = ip + 12
  if (!isLittleEndian) return word(bytes, at)
  return ((bytes[at + 3] << 24) | (bytes[at + 2] << 16) | (bytes[at + 1] << 8) | bytes[at]) >>> 0
}

/** Whether the packet is a segment of the connection that the frame `asked` is of, the other way. */
function isAnswer(bytes: Uint8Array, ip: number, at: number, asked: Uint8Array, isIpv6: boolean): boolean {
  if (asked[IP] >> 4 !== bytes[ip] >> 4 || bytes[ip + (isIpv6 ? 6 : 9)] !== TCP) return false
  const [addresses, size] = isIpv6 ? [8, 16] : [12, 4]
  for (let i = 0; i < size; i++) {
    if (bytes[ip + addresses + i] !== asked[IP + addresses + size + i]) return false
    if (bytes[ip + addresses + size + i] !== asked[IP + addresses + i]) return false
  }
  const tcp = IP + (isIpv6 ? IPV6_HEADER : (asked[IP] & 15) * 4)
  for (let i = 0; i < 2; i++) {
    if (bytes[at + i] !== asked[tcp + 2 + i] || bytes[at + 2 + i] !== asked[tcp + i]) return false
  }
  return true
}

function putHalf(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

function putWord(bytes: Uint8Array, at: number, value: number): void {
  putHalf(bytes, at, value >>> 16)
  putHalf(bytes, at + 2, value)
}
