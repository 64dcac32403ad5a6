/** Whether the memory that settings of the switch need is there, asked before anything is changed. */
import { totalmem } from 'node:os'
import { memoryFor } from '../dataplane/memory-size.js'
import type { DataPlaneSettings } from '../dataplane/messages.js'

/** Bytes that this process may use: the limit of its control group, where there is one, else the machine's memory. */
export function memoryLimit(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

/**
 * Undefined when the memory is there, else one sentence. Memory is taken page by page as frames come to wait, so a size
 * that the system grants can still be more than the machine has.
 */
export function missingMemory(settings: DataPlaneSettings, limit: number = memoryLimit()): string | undefined {
  const needed = memoryFor(settings)
  if (needed <= limit) return undefined
  return `switch.bufferBytes, maxFrameSize and fdb.maxEntries together need ${mebibytes(needed)} MiB of memory, and there are ${mebibytes(limit)} MiB`
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20)
}
