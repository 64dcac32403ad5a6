/** What the main thread's half of a TAP and the data plane's say to each other. */
import type { EgressPolicy } from '../dataplane/endpoint.js'

export const TAP = 'tap'

export interface TapOptions {
  /** -1 while there is no device. */
  fd: number
  device: string
  /** Of IP, in bytes. */
  mtu: number
  policy: EgressPolicy
  staticAddresses: readonly number[]
}

/** Data plane to main thread: the device was removed, and this descriptor is good for nothing any more. */
export type TapUpcall = { type: 'lost'; fd: number }

/** Main thread to data plane: there is a device again. */
export type TapDowncall = { type: 'device'; fd: number; device: string }
