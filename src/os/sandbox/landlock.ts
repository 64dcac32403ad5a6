/**
 * Landlock: a list of folders and files that a thread may use, and how; everything else of the file system is refused
 * with EACCES, whatever the user's rights are. It works without privilege, adds to all other checks, cannot be undone,
 * and is inherited by threads and programs that the thread starts. It does not touch descriptors that are open, nor
 * `stat`, `chdir` and connecting to a unix socket.
 *
 * Landlock also keeps the thread from tracing and from reading the memory of processes outside, and from kernel 6.12 on
 * from signalling them and from connecting to abstract unix sockets of others (scopes).
 *
 * The restriction is the calling thread's. thread-pool.ts brings it to the threads that Node.js hands asynchronous work
 * to; see exec.ts for how a process gets it for all of its threads. LANDLOCK_RESTRICT_SELF_TSYNC (version 8) is not
 * used: it would put the caller's restriction in the place of a narrower one that another thread has already.
 *
 * Source: include/uapi/linux/landlock.h, landlock(7). The system calls have the same numbers on every architecture.
 */
import { closeSync, openSync, type Stats, statSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { errno, libc } from '../libc.js'
import { NativeMemory } from '../native-memory.js'
import { isLinux, setNoNewPrivileges } from './prctl.js'

const CREATE_RULESET = 444
const ADD_RULE = 445
/** landlock_restrict_self(2), by its number. */
export const RESTRICT_SELF = 446
const CREATE_RULESET_VERSION = 1
const RULE_PATH_BENEATH = 1
/** O_PATH | O_CLOEXEC, include/uapi/asm-generic/fcntl.h. */
const O_PATH = 0x20_0000 | 0x8_0000

const bit = {
  execute: 1 << 0,
  writeFile: 1 << 1,
  readFile: 1 << 2,
  readFolder: 1 << 3,
  removeFolder: 1 << 4,
  removeFile: 1 << 5,
  makeCharacterDevice: 1 << 6,
  makeFolder: 1 << 7,
  makeFile: 1 << 8,
  makeSocket: 1 << 9,
  makeFifo: 1 << 10,
  makeBlockDevice: 1 << 11,
  makeLink: 1 << 12,
  /** Moves and hard links between folders. */
  refer: 1 << 13,
  truncate: 1 << 14,
  deviceControl: 1 << 15,
} as const
type Bit = keyof typeof bit

/** Of those, what can be said of a file. */
const OF_FILES = bit.execute | bit.writeFile | bit.readFile | bit.truncate | bit.deviceControl
/** How many of the bits, from the lowest, each version knows. */
const bitsOfVersion = [0, 13, 14, 15, 15, 16]
const SCOPES_SINCE = 6
/** LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL */
const SCOPES = 3

const accessBits = {
  /** Read files, list folders. */
  read: ['readFile', 'readFolder'],
  execute: ['execute'],
  /** Change files that exist. */
  write: ['writeFile', 'truncate'],
  /** Make and bind unix sockets. */
  sockets: ['makeSocket'],
  /**
   * Put unix sockets, and links to such, in the place of others. It takes the right to remove, which holds for every
   * file there.
   */
  socketFiles: ['makeSocket', 'makeLink', 'removeFile', 'refer'],
  /** Remove folders that are empty. */
  removeFolders: ['removeFolder'],
  /** Make, move and remove files, folders, symbolic links and unix sockets. */
  create: ['makeFile', 'makeFolder', 'makeSocket', 'makeFifo', 'makeLink', 'removeFile', 'removeFolder', 'refer'],
  /** ioctl(2) on devices. */
  device: ['deviceControl'],
} as const satisfies Record<string, readonly Bit[]>
export type FileAccess = keyof typeof accessBits

export interface FileRule {
  /** A file, or a folder with all in it. One that does not exist is passed over. */
  readonly path: string
  readonly allow: readonly FileAccess[]
}

export interface LandlockOptions {
  readonly rules: readonly FileRule[]
  /**
   * Also refuse signals to processes outside, and connections to abstract unix sockets outside (from version 6).
   * Default false.
   */
  readonly scoped?: boolean
}

type Call = (...args: number[]) => number
let bound: Call | undefined
function syscall(number: number, a: number, b: number, c: number, d = 0): number {
  bound ??= libc.func('long syscall(long n, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)') as unknown as Call
  return bound(number, a, b, c, d)
}

/**
 * Version of Landlock's interface in the running kernel; 0 where there is none, or where it was switched off at boot.
 */
export function landlockVersion(): number {
  return isLinux ? Math.max(0, syscall(CREATE_RULESET, 0, 0, CREATE_RULESET_VERSION)) : 0
}

/**
 * Restricts the calling thread to the rules; sets no_new_privs, which Landlock asks for. Returns false, and does
 * nothing, where the kernel has no Landlock. What the kernel's version cannot refuse stays allowed. Throws when the
 * kernel refuses a rule.
 */
export function restrictFiles(options: LandlockOptions): boolean {
  const ruleset = makeRuleset(options)
  if (ruleset === undefined) return false
  try {
    restrictTo(ruleset)
  } finally {
    closeSync(ruleset)
  }
  return true
}

/**
 * The rules as a descriptor, which the caller closes; undefined where the kernel has no Landlock. Throws when the
 * kernel refuses a rule.
 */
export function makeRuleset({ rules, scoped = false }: LandlockOptions): number | undefined {
  const version = landlockVersion()
  if (version === 0) return undefined
  const handled = 2 ** (bitsOfVersion[Math.min(version, bitsOfVersion.length - 1)] as number) - 1
  const attributes = new NativeMemory(24)
  attributes.words[0] = handled
  if (scoped && version >= SCOPES_SINCE) attributes.words[4] = SCOPES
  // struct landlock_ruleset_attr grew from 8 to 24 bytes: what a kernel does not know must not be passed.
  const size = version >= SCOPES_SINCE ? 24 : 8
  const ruleset = checked('landlock_create_ruleset', syscall(CREATE_RULESET, attributes.address, size, 0))
  try {
    for (const rule of rules) addRule(ruleset, rule, handled)
  } catch (error) {
    closeSync(ruleset)
    throw error
  }
  return ruleset
}

/** Restricts the calling thread to the rules of a descriptor. */
export function restrictTo(ruleset: number): void {
  if (!setNoNewPrivileges()) throw new Error(`prctl(PR_SET_NO_NEW_PRIVS): ${getSystemErrorName(-errno())}`)
  checked('landlock_restrict_self', syscall(RESTRICT_SELF, ruleset, 0, 0))
}

function addRule(ruleset: number, { path, allow }: FileRule, handled: number): void {
  const wanted = allow.flatMap(access => accessBits[access]).reduce((bits, name) => bits | bit[name as Bit], 0)
  const found = statsOf(path)
  if (found === undefined) return
  const fd = openSync(path, O_PATH)
  try {
    // struct landlock_path_beneath_attr, packed: u64 allowed_access, s32 parent_fd.
    const attributes = new NativeMemory(16)
    attributes.words[0] = wanted & handled & (found.isDirectory() ? -1 : OF_FILES)
    attributes.words[2] = fd
    if (attributes.words[0] === 0) return
    checked(`landlock_add_rule ${path}`, syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, attributes.address))
  } finally {
    closeSync(fd)
  }
}

function checked(what: string, result: number): number {
  if (result < 0) throw new Error(`${what}: ${getSystemErrorName(-errno())}`)
  return result
}

/** Undefined for what does not exist, and for what this user may not see: it has no use for a rule. */
function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}
