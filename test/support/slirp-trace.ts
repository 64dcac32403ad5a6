/** What a crashed run of the slirp fuzzer left: the numbers and bytes of its last frames. */
import { readFileSync } from 'node:fs'

/** A slot holds number, length, and the frame; the last frames are in the file. */
export const TRACE_SLOTS = 64
export const TRACE_SLOT_BYTES = 2048

/** In the order they were sent, the last one last; bytes beyond a slot are cut off. */
export function readTrace(path: string): { number: number; frame: Uint8Array }[] {
  const bytes = readFileSync(path)
  const frames: { number: number; frame: Uint8Array }[] = []
  for (let at = 0; at + 8 <= bytes.length; at += TRACE_SLOT_BYTES) {
    const number = bytes.readUInt32LE(at)
    const length = Math.min(bytes.readUInt32LE(at + 4), TRACE_SLOT_BYTES - 8)
    if (number > 0) frames.push({ number, frame: bytes.subarray(at + 8, at + 8 + length) })
  }
  return frames.sort((a, b) => a.number - b.number)
}
