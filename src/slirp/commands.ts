/** The process's end of the command socket, read and written without an event loop. */
import { errno, read, write } from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'
import { encodeMessage, MessageReader, type SlirpReply, type SlirpRequest } from './messages.js'
import { POLLIN, PollSet } from './poll-set.js'

const BUFFER_BYTES = 64 * 1024

export class Commands {
  /** The switch has closed its end, or is gone. */
  isOver = false
  readonly #fd: number
  readonly #memory = new NativeMemory(BUFFER_BYTES)
  readonly #reader = new MessageReader<SlirpRequest>()

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Waits for the first one. Ends the process when the switch is gone. */
  next(): SlirpRequest {
    const polls = new PollSet()
    for (;;) {
      polls.clear()
      polls.add(this.#fd, POLLIN)
      polls.wait(-1)
      const [first] = this.read()
      if (first !== undefined) return first
      if (this.isOver) process.exit(0)
    }
  }

  /** What has come; does not wait. */
  read(): SlirpRequest[] {
    const requests: SlirpRequest[] = []
    for (;;) {
      const count = read(this.#fd, this.#memory.address, BUFFER_BYTES)
      if (count === 0) this.isOver = true
      if (count <= 0) return requests
      requests.push(...this.#reader.push(this.#memory.bytes.subarray(0, count)))
    }
  }

  /**
   * The socket has room: one reply to each request, which the switch makes one after the other, and sixteen leases.
   * Where it has none the switch does not read, and this process ends.
   */
  send(reply: SlirpReply): void {
    const bytes = encodeMessage(reply)
    const memory = new NativeMemory(bytes.length)
    memory.bytes.set(bytes)
    const written = write(this.#fd, memory.address, bytes.length)
    if (written !== bytes.length) throw new Error(`the switch takes no reply: ${written < 0 ? errno() : written}`)
  }
}
