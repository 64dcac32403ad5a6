/**
 * Puts the fragments of IPv4 datagrams together before libslirp, so that libslirp sees whole datagrams and no fragment.
 *
 * libslirp 4.7.0 (ip_input.c, ip_reass) makes a queue for the fragment that arrives first, links the fragment into it
 * through a pointer of another type, and then asks the queue whether the datagram is whole. A compiler may assume that
 * the two do not overlap, and Debian's build takes the queue for still empty, thus for whole: where the first to arrive
 * is a last fragment (no "more fragments"), the next line writes through whatever a guest left in that memory.
 * Admitting only some sequences would rest on what each compiler made of this code. Whole datagrams keep all of it out
 * of reach, in every release.
 *
 * It is fixed memory: `SLOTS` datagrams at a time, each of the largest size, `SLOTS_PER_GUEST` for one MAC address, for
 * `LIFETIME_MS`. A guest that wants more loses its oldest; when all are taken, the oldest of the guest with the most
 * goes. Fragments come in any order. What came first counts: a fragment of which any byte is there already is refused,
 * so no two readings of a datagram exist. The source MAC address is a part of the key, so no guest completes another's
 * datagram.
 */
import { NativeMemory } from '../os/native-memory.js'
import { PASS, type RefusalCounts, Refuse } from './refusals.js'
import { word } from './stack-addresses.js'
import { headerChecksum } from './well-formed.js'

export const SLOTS = 32
export const SLOTS_PER_GUEST = 8
/** RFC 791 proposes 15 s; Linux waits for 30. */
export const LIFETIME_MS = 30_000
/** Of `add`: the fragment waits for the others, or was counted with them. */
export const KEPT = -1

const ETHERNET = 14
const LARGEST_HEADER = 60
const LARGEST_PACKET = 65_535
/** Of a slot: room for the headers, then the data, so that the headers can be put right in front of it. */
const DATA = ETHERNET + LARGEST_HEADER
const SLOT_BYTES = DATA + LARGEST_PACKET + 1
const BLOCK = 8
const WORDS = (LARGEST_PACKET + 1) / BLOCK / 32
const ICMP = 1
const TCP = 6
const UDP = 17
const MORE = 0x20
const UNKNOWN = -1

/** The header of a transport has to be whole in the first fragment (RFC 1858). */
const shortestFirst = (protocol: number): number =>
  protocol === TCP ? 20 : protocol === UDP || protocol === ICMP ? 8 : 1

export class Reassembly {
  /**
   * Of the datagram that `add` completed: where its frame begins in `bytes`, its length, its address for C. Good until
   * the next call.
   */
  offset = 0
  length = 0
  address = 0
  readonly #counts: RefusalCounts
  /** Made for the first fragment: most networks never see one. */
  #memory: NativeMemory | null = null
  readonly #guest = new Float64Array(SLOTS)
  readonly #source = new Float64Array(SLOTS)
  readonly #destination = new Float64Array(SLOTS)
  /** Identification and protocol. */
  readonly #id = new Int32Array(SLOTS)
  readonly #since = new Float64Array(SLOTS)
  /** Fragments in it; 0 where a slot is free. */
  readonly #fragments = new Int32Array(SLOTS)
  readonly #received = new Int32Array(SLOTS)
  readonly #highest = new Int32Array(SLOTS)
  /** Bytes of data in all, once the last fragment has come. */
  readonly #total = new Int32Array(SLOTS)
  readonly #headerLength = new Int32Array(SLOTS)
  readonly #blocks = new Int32Array(SLOTS * WORDS)

  constructor(counts: RefusalCounts) {
    this.#counts = counts
  }

  get bytes(): Uint8Array {
    return (this.#memory as NativeMemory).bytes
  }

  /** Datagrams that wait for the rest. */
  get waiting(): number {
    return this.#fragments.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0)
  }

  /**
   * Takes a fragment whose header is valid: the frame at `frame`, its IP header of `headerLength` behind the Ethernet
   * header, its packet up to `end`. Returns PASS when it completed a datagram, `KEPT` when it waits for others, or why
   * it is refused.
   */
  add(bytes: Uint8Array, frame: number, headerLength: number, end: number, guest: number, now: number): number {
    const at = frame + ETHERNET
    const isMore = (bytes[at + 6] & MORE) !== 0
    const from = (((bytes[at + 6] & 0x1f) << 8) | bytes[at + 7]) * BLOCK
    const length = end - at - headerLength
    const to = from + length
    const shortest = shortestFirst(bytes[at + 9])
    if (length <= 0 || (isMore && length % BLOCK !== 0) || headerLength + to > LARGEST_PACKET) return Refuse.fragment
    if (from === 0 ? length < shortest : from < shortest) return Refuse.fragment
    const slot = this.#find(bytes, at, guest, now)
    if (!this.#takes(slot, from, to, isMore)) return Refuse.overlap
    this.#put(slot, bytes, at + headerLength, from, length)
    if (!isMore) this.#total[slot] = to
    if (from === 0) this.#keepHeader(slot, bytes, frame, headerLength)
    if (this.#received[slot] !== this.#total[slot]) return KEPT
    // The header of the first fragment may be longer than that of the last, which was looked at alone.
    if (this.#headerLength[slot] + this.#total[slot] > LARGEST_PACKET) {
      this.#giveUp(slot)
      return KEPT
    }
    this.#complete(slot)
    return PASS
  }

  /** Forgets what has waited for too long. Its fragments are counted. */
  expire(now: number): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#fragments[slot] > 0 && now - this.#since[slot] >= LIFETIME_MS) this.#giveUp(slot)
    }
  }

  #find(bytes: Uint8Array, at: number, guest: number, now: number): number {
    const source = word(bytes, at + 12)
    const destination = word(bytes, at + 16)
    const id = (bytes[at + 4] << 16) | (bytes[at + 5] << 8) | bytes[at + 9]
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#fragments[slot] === 0 || this.#id[slot] !== id || this.#guest[slot] !== guest) continue
      if (this.#source[slot] === source && this.#destination[slot] === destination) return slot
    }
    const slot = this.#free(guest)
    this.#guest[slot] = guest
    this.#source[slot] = source
    this.#destination[slot] = destination
    this.#id[slot] = id
    this.#since[slot] = now
    this.#received[slot] = 0
    this.#highest[slot] = 0
    this.#total[slot] = UNKNOWN
    this.#blocks.fill(0, slot * WORDS, (slot + 1) * WORDS)
    this.#memory ??= new NativeMemory(SLOTS * SLOT_BYTES)
    return slot
  }

  /** A free slot, after one was given up where that has to be. */
  #free(guest: number): number {
    let free = -1
    let own = 0
    let most = 0
    let greediest = guest
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#fragments[slot] === 0) {
        free = slot
        continue
      }
      const held = this.#heldBy(this.#guest[slot])
      if (this.#guest[slot] === guest) own = held
      if (held > most) {
        most = held
        greediest = this.#guest[slot]
      }
    }
    if (own < SLOTS_PER_GUEST && free >= 0) return free
    const victim = this.#oldestOf(own >= SLOTS_PER_GUEST ? guest : greediest)
    this.#giveUp(victim)
    return victim
  }

  #heldBy(guest: number): number {
    let held = 0
    for (let slot = 0; slot < SLOTS; slot++) if (this.#fragments[slot] > 0 && this.#guest[slot] === guest) held++
    return held
  }

  #oldestOf(guest: number): number {
    let oldest = -1
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.#fragments[slot] === 0 || this.#guest[slot] !== guest) continue
      if (oldest < 0 || this.#since[slot] < this.#since[oldest]) oldest = slot
    }
    return oldest
  }

  #giveUp(slot: number): void {
    this.#counts.add(Refuse.incomplete, this.#fragments[slot])
    this.#fragments[slot] = 0
  }

  /** Whether nothing of it is there, and it agrees with where the datagram ends. */
  #takes(slot: number, from: number, to: number, isMore: boolean): boolean {
    const total = this.#total[slot]
    if (total !== UNKNOWN && (!isMore || to > total)) return false
    if (!isMore && to < this.#highest[slot]) return false
    for (let block = from / BLOCK; block < to / BLOCK; block++) {
      if ((this.#blocks[slot * WORDS + (block >> 5)] & (1 << (block & 31))) !== 0) return false
    }
    return true
  }

  #put(slot: number, bytes: Uint8Array, data: number, from: number, length: number): void {
    const target = this.bytes
    const place = slot * SLOT_BYTES + DATA + from
    for (let i = 0; i < length; i++) target[place + i] = bytes[data + i]
    for (let block = from / BLOCK; block < (from + length) / BLOCK; block++) {
      this.#blocks[slot * WORDS + (block >> 5)] |= 1 << (block & 31)
    }
    this.#fragments[slot]++
    this.#received[slot] += length
    this.#highest[slot] = Math.max(this.#highest[slot], from + length)
  }

  #keepHeader(slot: number, bytes: Uint8Array, frame: number, headerLength: number): void {
    const size = ETHERNET + headerLength
    const place = slot * SLOT_BYTES + DATA - size
    for (let i = 0; i < size; i++) this.bytes[place + i] = bytes[frame + i]
    this.#headerLength[slot] = headerLength
  }

  #complete(slot: number): void {
    const { address, bytes } = this.#memory as NativeMemory
    const headerLength = this.#headerLength[slot]
    const packet = headerLength + this.#total[slot]
    this.offset = slot * SLOT_BYTES + DATA - headerLength - ETHERNET
    this.length = ETHERNET + packet
    this.address = address + this.offset
    const at = this.offset + ETHERNET
    bytes[at + 2] = packet >> 8
    bytes[at + 3] = packet
    bytes[at + 6] = 0
    bytes[at + 7] = 0
    bytes[at + 10] = 0
    bytes[at + 11] = 0
    const sum = headerChecksum(bytes, at, headerLength)
    bytes[at + 10] = sum >> 8
    bytes[at + 11] = sum
    this.#fragments[slot] = 0
  }
}
