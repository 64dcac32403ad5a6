/**
 * Writes to a descriptor such as stderr without ever waiting for its reader. Other processes share it (the shell that
 * started us), so this file sets no flag on it:
 *
 * - A socket (systemd's journal, a parent that runs on Node.js): each call says MSG_DONTWAIT.
 * - A pipe or terminal on Linux: /proc/self/fd/N opened anew is the same pipe with flags of our own.
 * - Where that is not possible (macOS, a pipe of another user): poll(2) first, then no more than a pipe takes in one
 *   piece. A terminal that is nearly full, or another writer in between, can still make such a call wait.
 * - A file: written at once; only a disk that hangs makes it wait.
 */
import { constants as fsConstants, fstatSync, openSync, writeSync } from 'node:fs'
import { constants as osConstants } from 'node:os'
import type { Layout } from './layout.js'
import * as libc from './libc.js'
import { NativeMemory } from './native-memory.js'

/** Takes bytes and returns how many, or a negated error number; -EAGAIN when the reader has to read first. */
export type UnwaitingOutput = (bytes: Uint8Array) => number

const { errno } = osConstants
const POLLOUT = 0x004
/** Bytes that a pipe takes whole or not at all once poll says that it takes some (PIPE_BUF, POSIX). */
const PIPE_BUF = 512
const SEND_BYTES = 64 * 1024

export function unwaitingOutput(fd: number, layout: Layout): UnwaitingOutput {
  const stat = fstatSync(fd)
  if (stat.isSocket()) return toSocket(fd, layout)
  if (stat.isFile()) return bytes => written(fd, bytes)
  const own = reopened(fd)
  return own === null ? afterPoll(fd) : bytes => written(own, bytes)
}

function reopened(fd: number): number | null {
  if (process.platform !== 'linux') return null
  const { O_WRONLY, O_APPEND, O_NONBLOCK, O_NOCTTY } = fsConstants
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY)
  } catch {
    return null
  }
}

function toSocket(fd: number, { constants }: Layout): UnwaitingOutput {
  const memory = new NativeMemory(SEND_BYTES)
  return bytes => {
    const part = bytes.subarray(0, SEND_BYTES)
    memory.bytes.set(part)
    return libc.orErrno(libc.send(fd, memory.address, part.length, constants.MSG_DONTWAIT | constants.MSG_NOSIGNAL))
  }
}

function afterPoll(fd: number): UnwaitingOutput {
  const entry = new NativeMemory(8)
  return bytes => {
    entry.words[0] = fd
    entry.words[1] = POLLOUT
    return libc.pollDescriptors(entry.address, 1, 0) > 0 ? written(fd, bytes.subarray(0, PIPE_BUF)) : -errno.EAGAIN
  }
}

function written(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes)
  } catch (error) {
    return -(errno[(error as NodeJS.ErrnoException).code as keyof typeof errno] ?? errno.EIO)
  }
}
