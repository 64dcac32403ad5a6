/**
 * Memory that the kernel is given addresses of.
 *
 * V8 never moves the contents of an ArrayBuffer, so an address taken once stays good; but a buffer that no JavaScript
 * variable reaches is collected while the kernel still writes to it. A NativeMemory therefore stays in a field of the
 * object that uses its address, for as long as that object lives.
 *
 * Addresses are plain numbers: user space ends far below 2^53 on every supported platform, a number costs koffi no more
 * than a BigInt (47 ns against 48 ns for a two-pointer call), and typed arrays in place of addresses cost 30 ns more.
 */
import koffi from 'koffi'

export class NativeMemory {
  readonly buffer: ArrayBuffer
  readonly bytes: Uint8Array
  /** The same memory as 32-bit words; every layout here keeps its fields on multiples of four. */
  readonly words: Int32Array
  readonly address: number

  constructor(byteLength: number) {
    this.buffer = new ArrayBuffer(Math.ceil(byteLength / 8) * 8)
    this.bytes = new Uint8Array(this.buffer)
    this.words = new Int32Array(this.buffer)
    this.address = Number(koffi.address(this.bytes))
  }

  /** Writes a pointer (two words, little-endian) at a byte offset. */
  writePointer(offset: number, address: number): void {
    this.words[offset >> 2] = address | 0
    this.words[(offset >> 2) + 1] = Math.floor(address / 0x1_0000_0000)
  }

  readPointer(offset: number): number {
    return (this.words[offset >> 2] >>> 0) + this.words[(offset >> 2) + 1] * 0x1_0000_0000
  }
}
