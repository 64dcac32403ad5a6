/**
 * prctl(2): what one thread of a Linux process asks the kernel to do with itself. Each call here changes the calling
 * thread; threads and programs that it starts afterwards inherit no_new_privs, capability sets and the bounding set.
 *
 * Source: include/uapi/linux/prctl.h, prctl(2). macOS has no prctl: check `isLinux` before a call.
 */
import { libc } from '../libc.js'

export const isLinux = process.platform === 'linux'

type Call = (...args: number[]) => number
let bound: Call | undefined

/** Returns what prctl(2) returns: 0 or more, or -1 with errno. */
export function prctl(option: number, second = 0, third = 0, fourth = 0, fifth = 0): number {
  bound ??= libc.func(
    'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
  ) as unknown as Call
  return bound(option, second, third, fourth, fifth)
}

const PR_SET_PDEATHSIG = 1
const PR_SET_DUMPABLE = 4
const PR_SET_NO_NEW_PRIVS = 38
const PR_GET_NO_NEW_PRIVS = 39

/** Programs started from now on gain nothing by set-user-ID bits or file capabilities. There is no way back. */
export function setNoNewPrivileges(): boolean {
  return prctl(PR_SET_NO_NEW_PRIVS, 1) === 0
}

export function hasNoNewPrivileges(): boolean {
  return prctl(PR_GET_NO_NEW_PRIVS) === 1
}

/**
 * The kernel sends this signal to the process when the thread that started it ends. A change of user or of capabilities
 * cancels the request (kernel/cred.c, commit_creds), so make it last.
 */
export function dieWithParent(signal: number): boolean {
  return prctl(PR_SET_PDEATHSIG, signal) === 0
}

/** No core dump, and no other process of the same user may trace this one or read its memory. */
export function forbidDumps(): boolean {
  return prctl(PR_SET_DUMPABLE, 0) === 0
}
