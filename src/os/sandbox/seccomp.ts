/**
 * seccomp: a filter in front of the system calls of this process. The kernel runs it at each call; it says allow, fail
 * with EPERM, or kill the process (SIGSYS). It cannot be taken off.
 *
 * The filter is a list of what is allowed. A call that is not in it fails with EPERM, so that a library which tries
 * something optional goes on; a call that is newer than the table of numbers fails with ENOSYS, which is what C
 * libraries expect before they fall back to an older one. `kill` is for calls that no correct program of the kind
 * makes: an attempt is an attack, and the exit by SIGSYS says so.
 *
 * The filter sees numbers and arguments, not memory: it can tell the family of a socket and the flags of openat, not a
 * path or an address.
 *
 * It is installed for all threads at once (SECCOMP_FILTER_FLAG_TSYNC), and gives them no_new_privs, too.
 *
 * Source: include/uapi/linux/seccomp.h, include/uapi/linux/filter.h, seccomp(2).
 */
import { getSystemErrorName } from 'node:util'
import { errno, libc } from '../libc.js'
import { NativeMemory } from '../native-memory.js'
import { isLinux, setNoNewPrivileges } from './prctl.js'
import { LAST_KNOWN, type SyscallName, syscallNumbers } from './syscalls.js'

/** A condition on the lower 32 bits of an argument, the first of which is 0. */
export type ArgumentCheck =
  | { readonly argument: number; readonly isOneOf: readonly number[] }
  | { readonly argument: number; readonly hasNoneOf: number }
  | { readonly argument: number; readonly hasAllOf: number }

export interface SyscallRule {
  readonly call: SyscallName
  /** Allowed only then; else EPERM. */
  readonly when: ArgumentCheck
}

export interface FilterOptions {
  /** The most frequent first. */
  readonly allow: readonly (SyscallName | SyscallRule)[]
  readonly kill: readonly SyscallName[]
}

/** AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64: include/uapi/linux/audit.h; the place of each in the table of numbers. */
const architectures: Partial<Record<NodeJS.Architecture, { audit: number; column: 0 | 1; syscall: number }>> = {
  x64: { audit: 0xc000_003e, column: 0, syscall: 317 },
  arm64: { audit: 0xc000_00b7, column: 1, syscall: 277 },
}

const SET_MODE_FILTER = 1
const TSYNC = 1

// struct sock_filter: u16 code, u8 jump when true, u8 jump when false, u32 k.
const LOAD = 0x20
const EQUAL = 0x15
const GREATER = 0x25
const AND = 0x54
const RETURN = 0x06
const ALLOW = 0x7fff_0000
const FAIL = 0x0005_0000
const KILL_PROCESS = 0x8000_0000
const EPERM = 1
const ENOSYS = 38

// struct seccomp_data: int nr @0, u32 arch @4, u64 instruction pointer @8, u64 args[6] @16.
const NUMBER = 0
const ARCHITECTURE = 4
const argumentAt = (argument: number) => 16 + argument * 8

type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, value: number]

export const seccompIsKnownHere = (): boolean => isLinux && architectures[process.arch] !== undefined

/** The program, for tests. */
export function assemble({ allow, kill }: FilterOptions, arch: NodeJS.Architecture): Instruction[] {
  const architecture = architectures[arch]
  if (architecture === undefined) throw new Error(`seccomp: no system call numbers for ${arch}`)
  const numberOf = (call: SyscallName) => syscallNumbers[call][architecture.column]
  const program: Instruction[] = [
    [LOAD, 0, 0, ARCHITECTURE],
    [EQUAL, 1, 0, architecture.audit],
    [RETURN, 0, 0, KILL_PROCESS],
    [LOAD, 0, 0, NUMBER],
  ]
  for (const entry of allow) {
    const call = typeof entry === 'string' ? entry : entry.call
    const number = numberOf(call)
    if (number === null) continue
    const body: Instruction[] = typeof entry === 'string' ? [[RETURN, 0, 0, ALLOW]] : checks(entry.when)
    program.push([EQUAL, 0, body.length, number], ...body)
  }
  for (const call of kill) {
    const number = numberOf(call)
    if (number !== null) program.push([EQUAL, 0, 1, number], [RETURN, 0, 0, KILL_PROCESS])
  }
  // Numbers from 0x40000000 on are x32 calls of x86_64: they are "newer", and fail.
  program.push([GREATER, 0, 1, LAST_KNOWN], [RETURN, 0, 0, FAIL | ENOSYS], [RETURN, 0, 0, FAIL | EPERM])
  return program
}

/** Ends in a decision, since the number that was looked at is overwritten. */
function checks(check: ArgumentCheck): Instruction[] {
  const decide: Instruction[] = [
    [RETURN, 0, 0, FAIL | EPERM],
    [RETURN, 0, 0, ALLOW],
  ]
  const load: Instruction = [LOAD, 0, 0, argumentAt(check.argument)]
  if ('hasNoneOf' in check) return [load, [AND, 0, 0, check.hasNoneOf], [EQUAL, 1, 0, 0], ...decide]
  if ('hasAllOf' in check) return [load, [AND, 0, 0, check.hasAllOf], [EQUAL, 1, 0, check.hasAllOf], ...decide]
  const { isOneOf } = check
  const compare = isOneOf.map((value, i): Instruction => [EQUAL, isOneOf.length - i, 0, value >>> 0])
  return [load, ...compare, ...decide]
}

/**
 * Puts the filter in front of all threads of this process. Returns false, and does nothing, where the kernel has no
 * seccomp filters or the table no numbers for this processor. Throws when the kernel refuses the program.
 */
export function installFilter(options: FilterOptions): boolean {
  const architecture = architectures[process.arch]
  if (!isLinux || architecture === undefined) return false
  const instructions = assemble(options, process.arch)
  const program = new NativeMemory(instructions.length * 8)
  const view = new DataView(program.buffer)
  for (const [i, [code, whenTrue, whenFalse, value]] of instructions.entries()) {
    view.setUint16(i * 8, code, true)
    view.setUint8(i * 8 + 2, whenTrue)
    view.setUint8(i * 8 + 3, whenFalse)
    view.setUint32(i * 8 + 4, value >>> 0, true)
  }
  // struct sock_fprog: u16 length, pointer @8.
  const header = new NativeMemory(16)
  header.words[0] = instructions.length
  header.writePointer(8, program.address)
  const syscall = libc.func('long syscall(long n, unsigned int a, unsigned int b, uintptr_t c)') as unknown as (
    ...args: number[]
  ) => number
  setNoNewPrivileges()
  const result = syscall(architecture.syscall, SET_MODE_FILTER, TSYNC, header.address)
  if (result === 0) return true
  const error = errno()
  if (result < 0 && (error === ENOSYS || error === 22)) return false
  throw new Error(`seccomp: ${result > 0 ? `thread ${result} has another filter` : getSystemErrorName(-error)}`)
}
