/** How much memory a data plane takes. */
import { Fdb } from '../switch/fdb.js'
import { POOL_RESERVE } from './egress-queue.js'
import { FramePool } from './frame-pool.js'
import type { DataPlaneSettings } from './messages.js'
import { BATCH } from './receive-batch.js'

/** Slots of the frame pool that there must be, whatever is configured. */
export const MIN_SLOTS = 2 * BATCH + POOL_RESERVE

/** Bytes, with its filtering database, for these settings. */
export function memoryFor({
  bufferBytes,
  maxFrameSize,
  fdb,
}: Omit<DataPlaneSettings, 'fdb'> & { fdb: { maxEntries: number } }): number {
  return FramePool.bytesFor(bufferBytes, maxFrameSize, MIN_SLOTS) + Fdb.bytesFor(fdb.maxEntries)
}
