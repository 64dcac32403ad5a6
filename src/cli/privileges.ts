/**
 * What the process does with its rights: it gives up root's once they are not needed any more, when every socket and
 * interface is open; and from the start no program that it starts gains rights by a set-user-ID bit (no_new_privs).
 *
 * What is open stays open, and the data plane goes on with it, also when its thread is replaced. What is opened later,
 * by a reload or over the API, is opened by the new user, and refused where that takes root. The runtime directory
 * becomes the new user's, so that sockets can be replaced while it runs and removed at the end. Linux and macOS change
 * all threads of the process together.
 */
import { accessSync, constants, lchownSync } from 'node:fs'
import { dirname } from 'node:path'
import type { ProcessConfig } from '../config/process.js'
import { OperatorError } from '../errors.js'
import type { Logger } from '../log.js'
import { isLinux, setNoNewPrivileges } from '../os/sandbox/prctl.js'

/** Before anything is opened. Throws OperatorError when this process cannot become that user. */
export function requireCanBecome(target: ProcessConfig | null): void {
  const uid = process.getuid?.()
  if (target === null || uid === 0 || uid === target.uid) return
  throw new OperatorError(`${target.uid} is another user, and only root can become another; this is user ${uid}`, {
    path: 'process.user',
    value: target.uid,
  })
}

/** `sockets`: paths of socket files that are to be removed at the end. For good: there is no way back. */
export function goOnAs(target: ProcessConfig, runtimeDir: string, sockets: readonly string[], log: Logger): void {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = target
  // `ensureRuntimeDir` has made sure that only root can put anything in its place.
  lchownSync(runtimeDir, uid, gid)
  joinGroups(uid, gid)
  process.setgid?.(gid)
  process.setuid?.(uid)
  if (process.getuid?.() !== uid || process.getgid?.() !== gid || canBecomeRoot(uid)) {
    throw new Error('root is not given up')
  }
  log.info({ uid, gid, groups: process.getgroups?.() ?? [] }, "root's rights are given up")
  for (const path of sockets) {
    if (!isWritable(dirname(path)))
      log.warn({ path }, 'this socket file cannot be removed at the end; the next start replaces it')
  }
}

/**
 * On Linux: no program that this process starts gains rights by a set-user-ID bit or by file capabilities. It holds for
 * the calling thread, which is the one that starts programs, and for all threads made later. Root can still give up
 * root.
 */
export function gainNothingMore(): void {
  if (isLinux) setNoNewPrivileges()
}

/** The groups the system lists for the user; that one alone where it knows no such user. */
function joinGroups(uid: number, gid: number): void {
  try {
    ;(process as { initgroups?: (user: number, group: number) => void }).initgroups?.(uid, gid)
  } catch {
    process.setgroups?.([gid])
  }
}

function canBecomeRoot(uid: number): boolean {
  if (uid === 0) return false
  try {
    process.setuid?.(0)
    return true
  } catch {
    return false
  }
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch {
    return false
  }
}
