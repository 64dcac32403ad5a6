/**
 * execve(2) of this process by another program, and the descriptors that the program gets.
 *
 * Landlock, no_new_privs and capability sets belong to a thread, and Node.js has several before the first line of
 * JavaScript runs (V8's workers, the signal watcher). So a process that restricts itself does it in two steps: the main
 * thread takes on the restrictions, then replaces the process by the same program once more. The kernel ends all other
 * threads, and every thread of the new image inherits the restrictions of the thread that called execve. The process
 * id, standard streams and descriptors without close-on-exec stay.
 */
import { readdirSync } from 'node:fs'
import { errno, libc } from '../libc.js'
import { NativeMemory } from '../native-memory.js'

type Call = (...args: number[]) => number

export interface Replacement {
  /** Path of the program; not looked for on PATH. */
  readonly file: string
  readonly args: readonly string[]
  /** The whole environment of the new program. */
  readonly environment: Readonly<Record<string, string>>
  /**
   * The only descriptors that the new program gets. Node.js marks even its standard streams close-on-exec, so name them
   * too.
   */
  readonly descriptors: readonly number[]
}

/** Returns only on failure, with a negated error number. Nothing is flushed and no exit handler runs. */
export function replaceProcess({ file, args, environment, descriptors }: Replacement): number {
  const execve = libc.func('int execve(uintptr_t file, uintptr_t args, uintptr_t environment)') as unknown as Call
  const texts: NativeMemory[] = []
  const text = (value: string): number => {
    const memory = new NativeMemory(Buffer.byteLength(value) + 1)
    memory.bytes.set(Buffer.from(value))
    texts.push(memory)
    return memory.address
  }
  const list = (values: readonly string[]): NativeMemory => {
    const memory = new NativeMemory((values.length + 1) * 8)
    for (const [i, value] of values.entries()) memory.writePointer(i * 8, text(value))
    return memory
  }
  const path = text(file)
  const argv = list([file, ...args])
  const envp = list(Object.entries(environment).map(([name, value]) => `${name}=${value}`))
  closeAllOnExec()
  for (const fd of descriptors) fcntl(fd, F_SETFD, 'int', 0)
  execve(path, argv.address, envp.address)
  return -errno()
}

const fcntl = libc.func('int fcntl(int fd, int command, ...)') as unknown as (...args: unknown[]) => number
const F_SETFD = 2
const FD_CLOEXEC = 1
const CLOSE_RANGE = 436
const CLOSE_RANGE_CLOEXEC = 4

/** One call where Linux has close_range(2) with that flag (5.11), else one for each open descriptor. */
function closeAllOnExec(): void {
  if (process.platform === 'linux') {
    const syscall = libc.func('long syscall(long number, unsigned int first, unsigned int last, unsigned int flags)')
    if ((syscall as unknown as Call)(CLOSE_RANGE, 0, 0xffff_ffff, CLOSE_RANGE_CLOEXEC) === 0) return
  }
  for (const fd of readdirSync('/dev/fd').map(Number)) fcntl(fd, F_SETFD, 'int', FD_CLOEXEC)
}
