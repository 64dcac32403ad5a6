/** Wakes a thread that waits in a poller: an eventfd(2) on Linux, a pipe elsewhere. */
import { closeDescriptor, errno, libc, nonBlocking, pipe, read, write } from './libc.js'
import { NativeMemory } from './native-memory.js'

export interface Waker {
  /** To be watched for READABLE by the thread that sleeps. */
  readonly readFd: number
  readonly writeFd: number
  close(): void
}

const EFD_NONBLOCK_CLOEXEC = 0x80800

export class EventfdWaker implements Waker {
  readonly readFd: number
  readonly writeFd: number

  constructor() {
    const eventfd = libc.func('int eventfd(unsigned int value, int flags)') as unknown as (...args: number[]) => number
    this.readFd = eventfd(0, EFD_NONBLOCK_CLOEXEC)
    if (this.readFd < 0) throw new Error(`eventfd: errno ${errno()}`)
    this.writeFd = this.readFd
  }

  close(): void {
    closeDescriptor(this.readFd)
  }
}

export class PipeWaker implements Waker {
  readonly readFd: number
  readonly writeFd: number

  constructor(O_NONBLOCK: number) {
    const pair = new NativeMemory(8)
    if (pipe(pair.address) < 0) throw new Error(`pipe: errno ${errno()}`)
    ;[this.readFd, this.writeFd] = pair.words as unknown as [number, number]
    nonBlocking(this.readFd, O_NONBLOCK)
    nonBlocking(this.writeFd, O_NONBLOCK)
  }

  close(): void {
    closeDescriptor(this.readFd)
    closeDescriptor(this.writeFd)
  }
}

const one = new NativeMemory(8)
one.words[0] = 1
const scratch = new NativeMemory(64)

/** Makes the sleeper's `readFd` readable. From any thread; a full pipe is awake already. */
export function wake(writeFd: number): void {
  write(writeFd, one.address, 8)
}

/** Makes it silent again. */
export function settle(readFd: number): void {
  while (read(readFd, scratch.address, 64) === 64) {
    // a pipe may hold many wake-ups
  }
}
