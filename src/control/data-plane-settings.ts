/** What the configuration says to the data plane as a whole. */
import type { Config } from '../config/config.js'
import type { DataPlaneSettings } from '../dataplane/messages.js'

/** Settings that the memory of a data plane is made for. */
export function needsNewThread(next: DataPlaneSettings, now: DataPlaneSettings): boolean {
  return (
    next.maxFrameSize !== now.maxFrameSize ||
    next.bufferBytes !== now.bufferBytes ||
    next.fdb.maxEntries !== now.fdb.maxEntries
  )
}

export function settingsOf({ switch: { maxFrameSize, bufferBytes, fdb } }: Config): DataPlaneSettings {
  const { ageingSeconds, maxEntries, maxEntriesPerPort } = fdb
  // The data plane draws a new seed for each of its lives.
  return {
    maxFrameSize,
    bufferBytes,
    fdb: { ageingMs: ageingSeconds * 1000, maxEntries, maxEntriesPerPort, hashSeed: 0 },
  }
}
