/**
 * Who sent this datagram: socket address to peer, for each frame.
 *
 * An address is up to 110 bytes of path. Frames come in runs, so the sender of the last frame is compared first, word
 * by word; otherwise the words are hashed into a table that is at most half full. Addresses are compared in whole words
 * with what is beyond the length masked off, because the kernel leaves the bytes of an earlier, longer address behind
 * it.
 */
import { SOCKADDR_UN_STORAGE } from '../os/sockaddr-un.js'

const WORDS = SOCKADDR_UN_STORAGE / 4
/** Mask for the last word of an address, by length modulo 4; little-endian. */
const TAIL_MASK = [-1, 0xff, 0xffff, 0xffffff]

interface Entry<Peer> {
  readonly words: Int32Array
  readonly length: number
  readonly hash: number
  readonly peer: Peer
}

export class PeerTable<Peer> {
  #slots: (Entry<Peer> | null)[]
  #count = 0
  #last: Entry<Peer> | null = null
  readonly #seed: number

  /** `seed`: random bits, so that nobody can choose addresses that collide. */
  constructor(seed: number) {
    this.#seed = seed
    this.#slots = new Array(16).fill(null)
  }

  get size(): number {
    return this.#count
  }

  /** The peer whose address is the `length` bytes at word `first`. Allocates nothing. */
  find(words: Int32Array, first: number, length: number): Peer | null {
    const last = this.#last
    if (last !== null && last.length === length && same(last.words, words, first, length)) return last.peer
    const hash = this.#hash(words, first, length)
    const mask = this.#slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot]
      if (entry === null) return null
      if (entry.hash === hash && entry.length === length && same(entry.words, words, first, length)) {
        this.#last = entry
        return entry.peer
      }
    }
  }

  add(address: Uint8Array, peer: Peer): void {
    const words = toWords(address)
    if (this.find(words, 0, address.length) !== null) throw new Error('this address has a peer already')
    if (this.#count * 2 >= this.#slots.length) this.#rebuild(this.#slots.length * 2, null)
    this.#insert({ words, length: address.length, hash: this.#hash(words, 0, address.length), peer })
    this.#count++
  }

  /** Peers come and go rarely, so the table is simply built again without it. */
  remove(peer: Peer): void {
    this.#rebuild(this.#slots.length, peer)
    this.#count = this.#slots.reduce((sum, entry) => sum + (entry === null ? 0 : 1), 0)
  }

  #rebuild(size: number, without: Peer | null): void {
    const entries = this.#slots
    this.#slots = new Array(size).fill(null)
    this.#last = null
    for (const entry of entries) if (entry !== null && entry.peer !== without) this.#insert(entry)
  }

  #insert(entry: Entry<Peer>): void {
    const mask = this.#slots.length - 1
    let slot = entry.hash & mask
    while (this.#slots[slot] !== null) slot = (slot + 1) & mask
    this.#slots[slot] = entry
  }

  #hash(words: Int32Array, first: number, length: number): number {
    const whole = length >> 2
    let hash = this.#seed ^ length
    for (let i = 0; i < whole; i++) hash = mix(hash, words[first + i])
    if ((length & 3) !== 0) hash = mix(hash, words[first + whole] & TAIL_MASK[length & 3])
    return (hash ^ (hash >>> 15)) & 0x3fffffff
  }
}

function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e3779b1)
  return product ^ (product >>> 13)
}

function same(known: Int32Array, words: Int32Array, first: number, length: number): boolean {
  const whole = length >> 2
  for (let i = 0; i < whole; i++) if (known[i] !== words[first + i]) return false
  return (length & 3) === 0 || known[whole] === (words[first + whole] & TAIL_MASK[length & 3])
}

function toWords(address: Uint8Array): Int32Array {
  const words = new Int32Array(WORDS)
  new Uint8Array(words.buffer).set(address)
  return words
}
