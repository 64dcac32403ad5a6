/**
 * io_uring(7), for one thing: many reads of one non-blocking descriptor in one system call. A TAP has no recvmmsg, and
 * what a system call costs beyond its work is half of what a small frame costs: entering and leaving the kernel, and
 * the foreign call around it. 64 reads of 64 bytes from /dev/zero: 0.40 us of CPU each by read(2), 0.29 this way; 8
 * cost the same either way, one costs double.
 *
 * The kernel carries the entries out one after the other, in order, before io_uring_enter returns, because a read with
 * RWF_NOWAIT is never kept or handed to another thread: it succeeds or fails with EAGAIN on the spot. (O_NONBLOCK is
 * not enough: such a read would stay, and take a frame out of turn later.) So there is nothing to wait for, no other
 * thread looks at the rings, and plain loads and stores will do.
 *
 *     submission: head, tail, array (identity, written once) -> 64-byte entries      completion: head, tail, 16-byte entries
 *
 * Layouts: include/uapi/linux/io_uring.h; READ is there since 5.6. Containers often forbid io_uring (Docker's seccomp
 * profile does), and some systems turn it off (kernel.io_uring_disabled), so `open` may return null, and who uses this
 * can do without it.
 */
import koffi from 'koffi'
import { closeDescriptor, libc } from './libc.js'
import { NativeMemory } from './native-memory.js'

const SYS_IO_URING_SETUP = 425
const SYS_IO_URING_ENTER = 426
const OP_READ = 22
/**
 * Fail with EAGAIN rather than wait for data; without it a read that finds nothing stays in the kernel (preadv2(2)).
 */
const RWF_NOWAIT = 8
const EAGAIN = 11
/** What RWF_NOWAIT gets from a file that knows no such thing. */
const EOPNOTSUPP = 95
const FEATURE_SINGLE_MMAP = 1
const OFFSET_RINGS = 0
const OFFSET_ENTRIES = 0x10000000
const PROT_READ_WRITE = 3
/** MAP_SHARED | MAP_POPULATE. */
const MAP = 0x8001
const PARAMS_SIZE = 120
/** Words of a submission entry and of a completion entry. */
const SQE = 16
const CQE = 4

const syscall = libc.func('long syscall(long number, ...)') as unknown as (...args: unknown[]) => number
const mmap = libc.func(
  'uintptr_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, long offset)',
) as unknown as (...args: number[]) => number
const munmap = libc.func('int munmap(uintptr_t address, size_t length)') as unknown as (...args: number[]) => number
const enter = libc.func(
  'long syscall(long number, int fd, unsigned int submit, unsigned int complete, unsigned int flags, uintptr_t set, size_t size)',
) as unknown as (...args: number[]) => number

interface Mapping {
  readonly address: number
  readonly length: number
  readonly words: Int32Array
}

export class ReadRing {
  readonly fd: number
  /** What each of the requests in the last call came to: bytes, or a negated error number. */
  readonly results: Int32Array
  readonly #rings: Mapping
  readonly #entries: Mapping
  readonly #mask: number
  readonly #submissionTail: number
  readonly #completionHead: number
  readonly #completionTail: number
  readonly #completionMask: number
  readonly #completions: number

  /** For up to `capacity` requests in one call, a power of two. Null where this system has no io_uring for us. */
  static open(capacity: number): ReadRing | null {
    const params = new NativeMemory(PARAMS_SIZE)
    const fd = syscall(SYS_IO_URING_SETUP, 'uint32_t', capacity, 'uintptr_t', params.address)
    if (fd < 0) return null
    if ((params.words[5] & FEATURE_SINGLE_MMAP) === 0) {
      closeDescriptor(fd)
      return null
    }
    try {
      return new ReadRing(fd, capacity, params.words)
    } catch {
      closeDescriptor(fd)
      return null
    }
  }

  private constructor(fd: number, capacity: number, params: Int32Array) {
    const [submissions, completions] = params
    const submission = params.subarray(10)
    const completion = params.subarray(20)
    this.fd = fd
    this.results = new Int32Array(capacity)
    const length = Math.max(submission[6] + submissions * 4, completion[5] + completions * CQE * 4)
    this.#rings = map(fd, length, OFFSET_RINGS)
    this.#entries = map(fd, submissions * SQE * 4, OFFSET_ENTRIES)
    this.#submissionTail = submission[1] >> 2
    this.#mask = this.#rings.words[submission[2] >> 2]
    this.#completionHead = completion[0] >> 2
    this.#completionTail = completion[1] >> 2
    this.#completionMask = this.#rings.words[completion[2] >> 2]
    this.#completions = completion[5] >> 2
    const array = submission[6] >> 2
    for (let i = 0; i < submissions; i++) this.#rings.words[array + i] = i
  }

  /** Says where read `i` of the next call puts what it gets, and how much may come. */
  setBuffer(i: number, address: number, length: number): void {
    const { words } = this.#entries
    const at = ((this.#rings.words[this.#submissionTail] + i) & this.#mask) * SQE
    words[at + 4] = address | 0
    words[at + 5] = Math.floor(address / 0x1_0000_0000)
    words[at + 6] = length
  }

  /**
   * Reads `count` times; see `results`. False when the kernel did not do as it was told: then this ring is done with.
   */
  read(fd: number, count: number): boolean {
    const entries = this.#entries.words
    const rings = this.#rings.words
    const tail = rings[this.#submissionTail]
    for (let i = 0; i < count; i++) {
      const at = ((tail + i) & this.#mask) * SQE
      entries[at] = OP_READ
      entries[at + 1] = fd
      // Where the file is; a TAP has no such thing.
      entries[at + 2] = -1
      entries[at + 3] = -1
      entries[at + 7] = RWF_NOWAIT
      entries[at + 8] = i
    }
    rings[this.#submissionTail] = (tail + count) | 0
    this.results.fill(-EAGAIN, 0, count)
    const submitted = enter(SYS_IO_URING_ENTER, this.fd, count, 0, 0, 0, 0)
    let head = rings[this.#completionHead]
    const end = rings[this.#completionTail]
    const complete = submitted === count && ((end - head) | 0) === count
    for (; head !== end; head = (head + 1) | 0) {
      const at = this.#completions + (head & this.#completionMask) * CQE
      this.results[rings[at]] = rings[at + 2]
    }
    rings[this.#completionHead] = head
    return complete && this.results[0] !== -EOPNOTSUPP
  }

  close(): void {
    munmap(this.#rings.address, this.#rings.length)
    munmap(this.#entries.address, this.#entries.length)
    closeDescriptor(this.fd)
  }
}

function map(fd: number, length: number, offset: number): Mapping {
  const address = mmap(0, length, PROT_READ_WRITE, MAP, fd, offset)
  if (address < 0 || address > Number.MAX_SAFE_INTEGER) throw new Error('mmap')
  return { address, length, words: new Int32Array(koffi.view(BigInt(address), length)) }
}
