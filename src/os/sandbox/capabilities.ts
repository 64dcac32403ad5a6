/**
 * Linux capabilities: the pieces root's rights are cut into. `keepCapabilities` leaves the calling thread, and what it
 * starts, with those that are named and no way to get others back.
 *
 * Sets of a thread (capabilities(7)): *effective* is used now, *permitted* may be made effective, *inheritable* and
 * *ambient* are carried through execve, the *bounding* set caps what execve can add.
 *
 * Source: include/uapi/linux/capability.h (version 3 of the header: two words for each set),
 * include/uapi/linux/prctl.h.
 */
import { readFileSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { errno, libc } from '../libc.js'
import { NativeMemory } from '../native-memory.js'
import { isLinux, prctl } from './prctl.js'

export const Capability = {
  dacReadSearch: 2,
  setGid: 6,
  setUid: 7,
  netBindService: 10,
  netAdmin: 12,
  netRaw: 13,
  sysAdmin: 21,
} as const
export type Capability = (typeof Capability)[keyof typeof Capability]

const PR_SET_KEEPCAPS = 8
const PR_CAPBSET_DROP = 24
const PR_CAP_AMBIENT = 47
const PR_CAP_AMBIENT_CLEAR_ALL = 4
const VERSION_3 = 0x2008_0522
/** More than any kernel has; PR_CAPBSET_DROP says EINVAL from the first unknown one on. */
const MOST = 64

type Call = (...args: number[]) => number

/** The capabilities that this thread can use now, as a bit mask; 0n where there are none, also on macOS. */
export function effectiveCapabilities(): bigint {
  if (!isLinux) return 0n
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))
  return line === null ? 0n : BigInt(`0x${line[1]}`)
}

export function hasCapability(capability: Capability): boolean {
  return ((effectiveCapabilities() >> BigInt(capability)) & 1n) === 1n
}

/** Makes the thread keep its permitted set when it changes from root to another user; a call of execve ends that. */
export function keepCapabilitiesOverUserChange(): void {
  if (isLinux) prctl(PR_SET_KEEPCAPS, 1)
}

/**
 * Drops all but these from the bounding set of the calling thread. Needs CAP_SETPCAP, and does nothing without: call it
 * while root.
 */
export function dropBoundingSet(kept: readonly Capability[]): void {
  for (let capability = 0; isLinux && capability < MOST; capability++) {
    if (!(kept as readonly number[]).includes(capability) && prctl(PR_CAPBSET_DROP, capability) < 0) return
  }
}

/**
 * Drops all but these from every set of the calling thread but the bounding set. One that the thread does not have
 * cannot be kept: check `hasCapability` before. Throws when the kernel refuses.
 */
export function keepCapabilities(kept: readonly Capability[]): void {
  if (!isLinux) return
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
  const header = new NativeMemory(8)
  header.words[0] = VERSION_3
  header.words[1] = 0
  const data = new NativeMemory(24)
  for (const capability of kept) {
    const set = capability >> 5
    const mask = 1 << (capability & 31)
    data.words[set * 3] |= mask
    data.words[set * 3 + 1] |= mask
  }
  const capset = libc.func('int capset(uintptr_t header, uintptr_t data)') as unknown as Call
  if (capset(header.address, data.address) < 0) throw new Error(`capset: ${getSystemErrorName(-errno())}`)
}
