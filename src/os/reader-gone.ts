/**
 * Whether the other end of a pipe or a socket that is only written to is closed: `tapswitch events | head -1` has to
 * end when head does, also when nothing happens that would be written. poll(2) reports it unasked: POLLERR of a pipe on
 * Linux, POLLHUP elsewhere.
 */
import { pollDescriptors } from './libc.js'
import { NativeMemory } from './native-memory.js'

// struct pollfd: int fd @0, short events @4, short revents @6.
const SIZE = 8
const POLLERR = 0x08
const POLLHUP = 0x10

export function readerIsGone(fd: number): boolean {
  const entry = new NativeMemory(SIZE)
  entry.words[0] = fd
  if (pollDescriptors(entry.address, 1, 0) <= 0) return false
  return ((entry.words[1] >>> 16) & (POLLERR | POLLHUP)) !== 0
}
