/**
 * Landlock for the threads of libuv's pool, which do what JavaScript asks for asynchronously: `fs` with callbacks and
 * promises, name lookups, compression. They exist before a process can restrict itself, and a restriction is taken on
 * by the thread that asks for it. So each of them has to be made to ask: calls of koffi with `.async` run in the pool.
 *
 * First every thread is kept busy by a write(2) to a pipe of its own that is longer than the pipe: bytes that arrive
 * show that a thread is in it, and it stays there until the rest is read. Then, one after the other, a thread is let
 * go, does the calls, since it is the only one that is free, and is kept busy again. The thread ids say at the end
 * whether each had its turn.
 */
import { closeSync, readSync } from 'node:fs'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { libc, nonBlocking } from '../libc.js'
import { NativeMemory } from '../native-memory.js'
import { RESTRICT_SELF } from './landlock.js'
import { isLinux } from './prctl.js'
import { syscallNumbers } from './syscalls.js'

/** How many threads libuv makes: UV_THREADPOOL_SIZE, 4 where it is not set; libuv src/threadpool.c. */
const DEFAULT_SIZE = 4
/** More asynchronous calls than this at a time koffi does not take. */
const MOST = 32
/** Milliseconds; a thread may be at work, and then is waited for. It takes a few. */
const DEADLINE_MS = 5000
/** Bytes; twice what a pipe holds. */
const LENGTH = 128 * 1024

const PR_SET_NO_NEW_PRIVS = 38
const column = process.arch === 'x64' ? 0 : 1

type Numbers = (...args: number[]) => number
type AsyncNumbers = Numbers & { async: (...args: unknown[]) => void }

/** Whether every thread of the pool is restricted to the rules now. */
export async function restrictPool(ruleset: number, env: NodeJS.ProcessEnv = process.env): Promise<boolean> {
  const size = poolSize(env.UV_THREADPOOL_SIZE)
  if (!isLinux || size > MOST || (process.arch !== 'x64' && process.arch !== 'arm64')) return false
  const gates = Array.from({ length: size }, () => new Gate())
  const restricted = new Set<number>()
  try {
    for (const gate of gates) gate.shut()
    for (const gate of gates) await gate.holds()
    for (const gate of gates) {
      await gate.open()
      const thread = await inPool(syscallNumbers.gettid[column])
      const noNewPrivileges = await inPool(syscallNumbers.prctl[column], PR_SET_NO_NEW_PRIVS, 1)
      if (noNewPrivileges === 0 && (await inPool(RESTRICT_SELF, ruleset, 0)) === 0) restricted.add(thread)
      gate.shut()
      await gate.holds()
    }
  } catch (error) {
    if (!(error instanceof NotHeld)) throw error
  } finally {
    await Promise.all(gates.map(gate => gate.close()))
  }
  return restricted.size === size
}

/** As libuv reads it, with atoi(3). */
const poolSize = (text: string | undefined): number =>
  text === undefined ? DEFAULT_SIZE : Math.max(1, Number.parseInt(text, 10) || 0)

class NotHeld extends Error {}

/** Keeps one thread of the pool in write(2) until it is opened. */
class Gate {
  readonly #readFd: number
  readonly #writeFd: number
  readonly #memory = new NativeMemory(LENGTH)
  readonly #read = Buffer.alloc(LENGTH)
  #isShut = false

  constructor() {
    const ends = new NativeMemory(8)
    const pipe2 = libc.func('int pipe2(uintptr_t ends, int flags)') as unknown as Numbers
    if (pipe2(ends.address, O_CLOEXEC) !== 0) throw new NotHeld()
    this.#readFd = ends.words[0] as number
    this.#writeFd = ends.words[1] as number
    nonBlocking(this.#readFd, O_NONBLOCK)
  }

  shut(): void {
    this.#isShut = true
    void inPool(syscallNumbers.write[column], this.#writeFd, this.#memory.address, LENGTH).then(() => {
      this.#isShut = false
    })
  }

  /** Resolves when a thread is in it. */
  async holds(): Promise<void> {
    const until = performance.now() + DEADLINE_MS
    while (!this.#reads(1)) {
      if (performance.now() > until) throw new NotHeld()
      await delay(1)
    }
  }

  /** Resolves when the thread is free. */
  async open(): Promise<void> {
    while (this.#isShut) {
      if (!this.#reads(LENGTH)) await delay(1)
      else await nextTurn()
    }
    while (this.#reads(LENGTH)) {}
  }

  async close(): Promise<void> {
    await this.open()
    closeSync(this.#readFd)
    closeSync(this.#writeFd)
  }

  #reads(length: number): boolean {
    try {
      return readSync(this.#readFd, this.#read, 0, length, null) > 0
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false
      throw error
    }
  }
}

/** include/uapi/asm-generic/fcntl.h */
const O_CLOEXEC = 0x8_0000
const O_NONBLOCK = 0x800

let bound: AsyncNumbers | undefined

/** A system call, made by a thread of the pool. */
function inPool(number: number, a = 0, b = 0, c = 0, d = 0): Promise<number> {
  bound ??= libc.func(
    'long syscall(long n, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)',
  ) as unknown as AsyncNumbers
  const { async: call } = bound
  return new Promise((resolve, reject) => {
    call(number, a, b, c, d, (error: Error | null, result: number) =>
      error === null ? resolve(result) : reject(error),
    )
  })
}
