/** Memory by its address, as the kernel sees it. */
import koffi from 'koffi'

/** The bytes themselves, not a copy. Their owner must outlive the view. */
export function viewOf(address: number, length: number): DataView<ArrayBuffer> {
  return new DataView(koffi.view(BigInt(address), length))
}
