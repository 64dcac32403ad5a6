/** The data plane's thread is replaced by one with other settings; what is needed to go back to those before. */
import { CommandRefused } from './command-channel.js'
import type { DataPlaneSettings } from './messages.js'

export interface Replacement {
  /** Those before. */
  readonly settings: DataPlaneSettings
  readonly fdb: SharedArrayBuffer
  /** The thread before has ended. */
  ended: boolean
  /** Why the new settings did not do. */
  failure: string | null
}

/** Throws CommandRefused where there is not so much memory. */
export function allocate(bytes: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(bytes)
  } catch {
    throw new CommandRefused(`there is no memory for ${bytes} bytes`)
  }
}
