/**
 * Watches a slirp process that runs, once a second:
 *
 * - It hangs when five looks in a row found the last question unanswered. Looks are counted, not time: when the switch
 *   itself was stopped for a while (a debugger, a laptop that slept), that is one look.
 * - It leaks when its resident memory is over BASE_MIB and what its connections may hold. Measured: 52 MiB after start.
 *   A TCP connection holds at most 256 KiB in libslirp's buffers (128 KiB in each direction); twice that is allowed.
 *   Linux only.
 * - Its name servers are outdated when /etc/resolv.conf is another file than at its start: Landlock lets it read the
 *   one that was there (confine.ts).
 */
import { readFileSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

const LOOK_MS = 1000
const HANGS_AFTER = 5
const BASE_MIB = 256
const MIB_PER_CONNECTION = 0.5
const RESOLV_CONF = '/etc/resolv.conf'

export interface WatchParts {
  readonly pid: number
  readonly maxConnections: number
  readonly isLandlocked: boolean
  /** Asks the process how it is; resolves when it has answered. */
  readonly status: () => Promise<void>
  /** It has to be killed. One clause. */
  readonly hopeless: (why: string) => void
  /** Another has to take its place. One clause. */
  readonly outdated: (why: string) => void
}

/** MiB that a process may have in memory. */
export const memoryBound = (maxConnections: number): number => BASE_MIB + Math.ceil(maxConnections * MIB_PER_CONNECTION)

export class Watch {
  readonly #parts: WatchParts
  readonly #timer: NodeJS.Timeout
  readonly #nameServers = nameServerFile()
  #asked = false
  #missed = 0

  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
    this.#ask()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { maxConnections, hopeless, outdated, isLandlocked } = this.#parts
    if (!this.#asked) this.#ask()
    else if (++this.#missed >= HANGS_AFTER) {
      this.close()
      hopeless(`it did not answer for ${HANGS_AFTER} s`)
      return
    }
    const used = this.#memoryMib()
    const bound = memoryBound(maxConnections)
    if (used > bound) {
      this.close()
      hopeless(`it used ${used} MiB of memory, more than the ${bound} that ${maxConnections} connections can need`)
    } else if (isLandlocked && nameServerFile() !== this.#nameServers) {
      this.close()
      outdated(`the name servers of the host changed (${RESOLV_CONF})`)
    }
  }

  #ask(): void {
    this.#asked = true
    this.#missed = 0
    const answered = () => {
      this.#asked = false
    }
    this.#parts.status().then(answered, () => {})
  }

  /** 0 where it cannot be told. */
  #memoryMib(): number {
    if (process.platform !== 'linux') return 0
    try {
      const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#parts.pid}/status`, 'utf8'))?.[1]
      return Math.floor(Number(kib ?? 0) / 1024)
    } catch {
      return 0
    }
  }
}

/** Which file it is, where its folder is not readable for the process as a whole. */
function nameServerFile(): string {
  try {
    if (dirname(realpathSync(RESOLV_CONF)) !== '/etc') return ''
    const { dev, ino } = statSync(RESOLV_CONF)
    return `${dev}:${ino}`
  } catch {
    return ''
  }
}
