/**
 * Socket files: putting one in place, and taking it away again.
 *
 * A new socket is bound to a temporary name beside its path, gets its mode and owner there, and is then renamed over
 * the path. So there is no moment in which the path is missing (a client that connects just then would fail) or in
 * which it is open to more people than it should be. A file that a switch left behind when it was killed answers nobody
 * and is replaced; one that somebody listens on is refused.
 */
import { randomBytes } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lchmodSync,
  lchownSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { getSystemErrorName } from 'node:util'
import { OperatorError } from '../errors.js'
import type { Layout } from '../os/layout.js'
import { encodeUnixAddress } from '../os/sockaddr-un.js'
import { listenForConnections, openStream } from '../os/stream-socket.js'
import * as unix from '../os/unix-socket.js'

export interface SocketFileOptions {
  path: string
  /** A stream socket listens from the moment it has its path. Default: datagram. */
  kind?: 'datagram' | 'stream'
  /** File mode, e.g. 0o600. */
  permissions: number
  /** Numeric; null leaves what the process has. */
  owner: number | null
  group: number | null
}

export interface BoundSocket {
  fd: number
  /** Tells our file from one that took its place. */
  inode: bigint
}

/** Binds a socket to a path. Throws OperatorError with what is wrong. */
export function bindSocketFile(layout: Layout, options: SocketFileOptions): BoundSocket {
  const { path } = options
  const limit = layout.sockaddrUn.pathSize - 1
  const bytes = Buffer.byteLength(path)
  if (bytes > limit)
    throw new OperatorError(`socket path "${path}" is ${bytes} bytes, at most ${limit} allowed on this system`)
  checkDirectory(dirname(path))
  refuseLive(layout, options)
  return place(layout, options)
}

/** The same, for a path that is ours already: the new socket takes the old one's place. */
export function replaceSocketFile(layout: Layout, options: SocketFileOptions): BoundSocket {
  return place(layout, options)
}

/** Removes the file, unless it is somebody else's by now. */
export function removeSocketFile(path: string, inode: bigint): void {
  if (inodeOf(path) === inode) unlinkSync(path)
}

/** Tells the file at a path from any other that has been or will be there; undefined where none can be seen. */
export function fileIdentity(path: Buffer): string | undefined {
  try {
    // An inode number alone is used again at once by some file systems.
    const { dev, ino, ctimeNs } = statSync(path, { bigint: true })
    return `${dev}:${ino}:${ctimeNs}`
  } catch {
    return undefined
  }
}

/**
 * Sets mode and owner of a socket file, and of nothing else: in a folder that another user may write to, the path may
 * be a link by now, or another file. Throws OperatorError then.
 */
export function applyAccess({ permissions, owner, group }: SocketFileOptions, path: string): void {
  const wanted = owner !== null || group !== null
  if (process.platform !== 'linux') {
    lchmodSync(path, permissions)
    if (wanted) lchownSync(path, owner ?? -1, group ?? -1)
    return
  }
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW)
  try {
    const stats = fstatSync(fd)
    if (!stats.isSocket() || stats.nlink !== 1) {
      throw new OperatorError(`"${path}" is not our socket any more: another user may write to its folder`)
    }
    // A path of its own that leads to the open file, whatever has its name.
    const opened = `/proc/self/fd/${fd}`
    chmodSync(opened, permissions)
    if (wanted) chownSync(opened, owner ?? -1, group ?? -1)
  } finally {
    closeSync(fd)
  }
}

/** include/uapi/asm-generic/fcntl.h */
const O_PATH = 0x20_0000

function place(layout: Layout, options: SocketFileOptions): BoundSocket {
  const { path, permissions } = options
  const fd = open(layout, options)
  if (fd < 0) throw new OperatorError(`cannot open a socket for "${path}": ${errorName(fd)}`)
  const beside = join(dirname(path), `.${randomBytes(3).toString('hex')}`)
  // Where the temporary name would be too long, the path itself is bound, with a gap of microseconds.
  const temporary = Buffer.byteLength(beside) < layout.sockaddrUn.pathSize ? beside : path
  try {
    if (temporary === path) removeIfThere(path)
    const umask = process.umask(0o777 & ~permissions)
    const result = unix.bindUnix(layout, fd, temporary)
    process.umask(umask)
    if (result < 0) throw new OperatorError(`cannot bind a socket to "${path}": ${errorName(result)}`)
    applyAccess(options, temporary)
    if (options.kind === 'stream') {
      const listening = listenForConnections(fd)
      if (listening < 0) throw new OperatorError(`cannot listen on "${path}": ${errorName(listening)}`)
    }
    if (temporary !== path) renameSync(temporary, path)
    return { fd, inode: inodeOf(path) as bigint }
  } catch (error) {
    unix.closeSocket(fd)
    removeIfThere(temporary)
    if (error instanceof OperatorError) throw error
    throw new OperatorError(`cannot set up the socket "${path}": ${(error as Error).message}`, { cause: error })
  }
}

function checkDirectory(directory: string): void {
  let stats: Stats
  try {
    stats = statSync(directory)
  } catch {
    throw new OperatorError(`the directory "${directory}" does not exist`)
  }
  if (!stats.isDirectory()) throw new OperatorError(`"${directory}" is not a directory`)
  try {
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch {
    throw new OperatorError(`the directory "${directory}" is not writable for us`)
  }
}

/** A path may be free, stale (nobody answers there), or in use. */
function refuseLive(layout: Layout, options: SocketFileOptions): void {
  const { path } = options
  let stats: Stats
  try {
    stats = lstatSync(path)
  } catch {
    return
  }
  if (!stats.isSocket()) throw new OperatorError(`"${path}" exists and is not a socket; it is left alone`)
  const fd = open(layout, options)
  const result = unix.connectUnix(fd, encodeUnixAddress(layout, path))
  unix.closeSocket(fd)
  if (result === -layout.errno.ECONNREFUSED || result === -layout.errno.ENOENT) return
  // The kernel looks at the file's mode before it looks for a socket: nothing is known about the latter.
  if (result === -layout.errno.EACCES) {
    throw new OperatorError(
      `"${path}" is a socket of user ${stats.uid}, and this user may not see whether a process listens there: remove it, or choose another path`,
    )
  }
  throw new OperatorError(`another process listens on "${path}"`)
}

function open(layout: Layout, { kind }: SocketFileOptions): number {
  return kind === 'stream' ? openStream(layout, layout.constants.AF_UNIX) : unix.openUnixDatagram(layout)
}

function inodeOf(path: string): bigint | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino
}

function removeIfThere(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path)
}

function errorName(result: number): string {
  return getSystemErrorName(result)
}
