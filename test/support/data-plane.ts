/** A real data plane in its own thread, with room for what tests do, and putting another in its place. */
import { DataPlane } from '#src/dataplane/data-plane.js'
import type { Command } from '#src/dataplane/messages.js'
import type { Logger } from '#src/log.js'
import type { Os } from '#src/os/os.js'
import { until } from './until.js'

/** Not started. `maxFrameSize` in bytes. */
export function roomyDataPlane(os: Os, log: Logger, maxFrameSize: number): DataPlane {
  const settings = {
    maxFrameSize,
    bufferBytes: 16 * 1024 * 1024,
    fdb: { ageingMs: 300_000, maxEntries: 1024, maxEntriesPerPort: 256, hashSeed: 0 },
  }
  return new DataPlane(os, settings, { maxPorts: 128, maxEndpoints: 16 }, log)
}

/** On purpose, or because the running one died. Resolves when the new one runs. */
export async function replaceDataPlane(dataPlane: DataPlane, how: 'planned' | 'crash'): Promise<void> {
  if (how === 'planned') return dataPlane.replace({ ...dataPlane.settings, bufferBytes: 8 * 1024 * 1024 })
  const { restarts } = dataPlane
  // It cannot answer.
  await dataPlane.command({ type: 'nonsense' } as unknown as Command).catch(() => {})
  await until(() => dataPlane.restarts === restarts + 1 && dataPlane.trouble() === undefined, 'a new data plane runs')
}
