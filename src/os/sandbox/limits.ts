/** Resource limits of this process (setrlimit(2)); the same calls on Linux and macOS, with other numbers. */
import { getSystemErrorName } from 'node:util'
import { errno, libc } from '../libc.js'
import { NativeMemory } from '../native-memory.js'

/** include/uapi/asm-generic/resource.h; xnu bsd/sys/resource.h. */
const numbers = {
  core: { linux: 4, darwin: 4 },
  descriptors: { linux: 7, darwin: 8 },
} as const
export type Resource = keyof typeof numbers

export interface Limit {
  /** What the kernel enforces. `Infinity` for no limit. */
  readonly soft: number
  /** What the process may raise the soft limit to. */
  readonly hard: number
}

type Call = (...args: number[]) => number
const bind = (name: string) => libc.func(`int ${name}(int resource, uintptr_t limits)`) as unknown as Call
let calls: { get: Call; set: Call } | undefined
const bound = () => {
  calls ??= { get: bind('getrlimit'), set: bind('setrlimit') }
  return calls
}

const number = (resource: Resource) => numbers[resource][process.platform === 'darwin' ? 'darwin' : 'linux']

/** RLIM_INFINITY is ~0 on Linux and 2^63-1 on macOS; both are far above what a limit can be. */
const INFINITE = 2 ** 62

export function limitOf(resource: Resource): Limit {
  const memory = new NativeMemory(16)
  const view = new BigUint64Array(memory.buffer)
  if (bound().get(number(resource), memory.address) < 0) throw new Error(`getrlimit: ${getSystemErrorName(-errno())}`)
  const value = (raw: bigint) => (Number(raw) >= INFINITE ? Number.POSITIVE_INFINITY : Number(raw))
  return { soft: value(view[0]), hard: value(view[1]) }
}

/**
 * Sets the soft and the hard limit to `wanted`, or to the hard limit where that is lower: a process without privilege
 * can only lower its hard limit. Returns the limit now in force.
 */
export function setLimit(resource: Resource, wanted: number): number {
  const granted = Math.min(wanted, limitOf(resource).hard)
  const memory = new NativeMemory(16)
  new BigUint64Array(memory.buffer).fill(BigInt(granted))
  if (bound().set(number(resource), memory.address) < 0) throw new Error(`setrlimit: ${getSystemErrorName(-errno())}`)
  return granted
}
