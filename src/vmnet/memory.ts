/** Memory that belongs to somebody else. */
import koffi from 'koffi'

/** A copy of `length` bytes at an address that is valid now. */
export function memoryAt(address: number, length: number): Uint8Array {
  return new Uint8Array(koffi.view(BigInt(address), length)).slice()
}
