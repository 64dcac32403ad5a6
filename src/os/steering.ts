/**
 * Which of several UDP sockets on one address gets a datagram: a program in the kernel that looks at the datagram's
 * source. One program chooses among the sockets (`steer`). For a multicast group there is no such choice, each of its
 * sockets gets all; there each socket has a program that says what it takes (`admit`).
 *
 * The program makes a number of 32 bits from the source, the *digest*, and looks it up among those it was given, by
 * halves. The digest starts from random bits: a sender that does not know them cannot choose an address whose digest is
 * another's. `digestOf` computes the same number from an address as recvmsg(2) gives it.
 *
 * The language is classic BPF (include/uapi/linux/bpf_common.h, filter.h); SO_ATTACH_REUSEPORT_CBPF is described in
 * socket(7). The program sees the payload, and the IP header by the offset SKF_NET_OFF. A source port is read where it
 * is without IP options or extension headers; a datagram that has some is taken for one of an unknown source.
 */
import type { Layout } from './layout.js'
import * as libc from './libc.js'
import { NativeMemory } from './native-memory.js'
import { SOCKADDR_IN } from './sockaddr-in.js'
import type { IpFamily } from './udp-socket.js'

/** What tells senders apart: the IP address, or the UDP port as well. */
export type SourceKind = 'address' | 'address-and-port'

export interface SteeringKey {
  readonly family: IpFamily
  readonly kind: SourceKind
  /** Random bits. */
  readonly seed: number
}

/** Of this source to the socket that was bound as number `socket`, counted from 0. */
export interface SteeringRule {
  readonly digest: number
  readonly socket: number
}

/**
 * Kernels before 6.8 have 20 KiB for such a program (net.core.optmem_max): 8 bytes for each instruction, of which a
 * rule needs three.
 */
export const MAX_STEERING_RULES = 512

/** Bytes of a datagram that a socket takes. */
const WHOLE = 0xffffffff
const MULTIPLIER = 0x9e3779b1
const SHIFT = 13
const PORT_AT = 2
const NET_OFF = 0xfff00000
const IPV4_SOURCE = 12
const IPV4_LENGTH = 20
const IPV6_SOURCE = 8
const IPV6_LENGTH = 40
const INSTRUCTION = 8

const Op = {
  loadWord: 0x20,
  loadHalf: 0x28,
  loadNumber: 0x00,
  loadXFrom: 0x61,
  storeIn: 0x02,
  copyToX: 0x07,
  xorX: 0xac,
  multiply: 0x24,
  shiftRight: 0x74,
  jump: 0x05,
  jumpIfEqual: 0x15,
  jumpIfGreater: 0x25,
  answer: 0x06,
} as const

interface Rule {
  readonly digest: number
  readonly answer: number
}

/** struct sock_filter: code, where true, where false, number. */
type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number]

/** The digest of a raw address (struct sockaddr_in or sockaddr_in6). */
export function digestOf(address: Uint8Array, { kind, seed }: SteeringKey): number {
  const view = new DataView(address.buffer, address.byteOffset, address.length)
  const [first, end] = address.length === SOCKADDR_IN ? [4, 8] : [8, 24]
  let digest = seed >>> 0
  for (let at = first; at < end; at += 4) digest = mixed(digest, view.getUint32(at))
  return kind === 'address' ? digest : mixed(digest, view.getUint16(PORT_AT))
}

/**
 * Attaches the program to the group of sockets that this one belongs to; replaces the one before. Sources without a
 * rule go to socket 0. Returns 0, or a negated error number; then the program before stays.
 */
export function steer(
  { inet, constants }: Layout,
  fd: number,
  key: SteeringKey,
  rules: readonly SteeringRule[],
): number {
  if (inet.SO_ATTACH_REUSEPORT_CBPF === null) return 0
  const answers = rules.slice(0, MAX_STEERING_RULES).map(({ digest, socket }) => ({ digest, answer: socket }))
  return attach(fd, constants.SOL_SOCKET, inet.SO_ATTACH_REUSEPORT_CBPF, key, answers, 0)
}

/** Lets this socket take only datagrams of these sources, or all but those. Returns 0, or a negated error number. */
export function admit(
  { inet, constants }: Layout,
  fd: number,
  key: SteeringKey,
  mode: 'only' | 'all-but',
  digests: readonly number[],
): number {
  if (inet.SO_ATTACH_FILTER === null) return 0
  const [answer, otherwise] = mode === 'only' ? [WHOLE, 0] : [0, WHOLE]
  const rules = digests.slice(0, MAX_STEERING_RULES).map(digest => ({ digest, answer }))
  return attach(fd, constants.SOL_SOCKET, inet.SO_ATTACH_FILTER, key, rules, otherwise)
}

function attach(
  fd: number,
  level: number,
  option: number,
  key: SteeringKey,
  rules: readonly Rule[],
  otherwise: number,
): number {
  const sorted = [...rules].sort((a, b) => a.digest - b.digest)
  const program = [...digestProgram(key), ...lookup(sorted, otherwise)]
  const code = new NativeMemory(program.length * INSTRUCTION)
  program.forEach(([op, ifTrue, ifFalse, k], i) => {
    code.words[i * 2] = op | (ifTrue << 16) | (ifFalse << 24)
    code.words[i * 2 + 1] = k | 0
  })
  // struct sock_fprog
  const header = new NativeMemory(16)
  header.words[0] = program.length
  header.writePointer(8, code.address)
  return libc.orErrno(libc.setsockopt(fd, level, option, header.address, 16))
}

function digestProgram({ family, kind, seed }: SteeringKey): Instruction[] {
  const [source, length, words] = family === 4 ? [IPV4_SOURCE, IPV4_LENGTH, 1] : [IPV6_SOURCE, IPV6_LENGTH, 4]
  const program: Instruction[] = [
    [Op.loadNumber, 0, 0, seed],
    [Op.storeIn, 0, 0, 0],
  ]
  for (let i = 0; i < words; i++) program.push([Op.loadWord, 0, 0, NET_OFF + source + 4 * i], ...mixing)
  if (kind === 'address-and-port') program.push([Op.loadHalf, 0, 0, NET_OFF + length], ...mixing)
  return program
}

/** The number loaded, into the digest in place 0; the digest is loaded then. */
const mixing: readonly Instruction[] = [
  [Op.loadXFrom, 0, 0, 0],
  [Op.xorX, 0, 0, 0],
  [Op.multiply, 0, 0, MULTIPLIER],
  [Op.copyToX, 0, 0, 0],
  [Op.shiftRight, 0, 0, SHIFT],
  [Op.xorX, 0, 0, 0],
  [Op.storeIn, 0, 0, 0],
]

function mixed(digest: number, word: number): number {
  const product = Math.imul(digest ^ word, MULTIPLIER)
  return (product ^ (product >>> SHIFT)) >>> 0
}

function lookup(rules: readonly Rule[], otherwise: number): Instruction[] {
  if (rules.length <= 3) {
    const found = rules.flatMap(({ digest, answer }): Instruction[] => [
      [Op.jumpIfEqual, 0, 1, digest],
      [Op.answer, 0, 0, answer],
    ])
    return [...found, [Op.answer, 0, 0, otherwise]]
  }
  const middle = rules.length >> 1
  const low = lookup(rules.slice(0, middle), otherwise)
  const high = lookup(rules.slice(middle), otherwise)
  // A conditional jump reaches 255 instructions far, the other one any number.
  return [[Op.jumpIfGreater, 0, 1, rules[middle - 1].digest], [Op.jump, 0, 0, low.length], ...low, ...high]
}
