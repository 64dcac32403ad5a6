/**
 * What the switch and the slirp process say to each other: JSON behind a length of four bytes, on a unix stream socket.
 * Link descriptors go by a socket of their own (os/descriptor-passing.ts).
 *
 * The process trusts what the switch says. The switch does not trust what the process says, which a guest may have
 * taken over: messages are bounded, checked, and change nothing but what is shown and which leases are remembered.
 */
import type { Forward } from '../config/forwards.js'
import type { SlirpConfig } from '../config/interfaces/slirp.js'
import type { Lease } from './leases.js'
import type { SlirpCounts } from './shared-state.js'

/** Descriptors of the process. */
export const STDERR = 2
export const COMMANDS = 3
export const LINKS = 4

/** What forwards need beyond plain sockets. The process gets it only while there are such forwards. */
export interface Needs {
  /** Listening at a unix socket. */
  readonly unixSockets: boolean
  /** Listening at a port below 1024. */
  readonly lowPorts: boolean
}

export type SlirpCommand =
  /** The first one, and only the first. `account`: the user to become; null to stay who it is. */
  | {
      readonly type: 'start'
      readonly config: SlirpConfig
      readonly account: { readonly uid: number; readonly gid: number } | null
      readonly needs: Needs
      readonly leases: readonly Lease[]
    }
  | { readonly type: 'add-forward'; readonly forward: Forward }
  | { readonly type: 'remove-forward'; readonly forward: Pick<Forward, 'protocol' | 'host'> }
  /** Answered with what is shown; silence says that it hangs. */
  | { readonly type: 'status' }
  | { readonly type: 'stop' }

export interface SlirpRequest {
  readonly id: number
  readonly command: SlirpCommand
}

export interface Started {
  readonly version: string
  /** What it took on, for people: `landlock, no-new-privs, seccomp, user 65534`. */
  readonly sandbox: string
  /** Descriptors that it may open. */
  readonly descriptors: number
}

/** `error` is negated, as the system calls return it. */
export type SlirpResult =
  | { readonly ok: boolean }
  | { readonly error: number }
  | { readonly refusal: string }
  | { readonly started: Started }
  | { readonly counts: SlirpCounts }

/** Every command is answered, in order; leases are told as they are given. */
export type SlirpReply =
  | { readonly type: 'reply'; readonly id: number; readonly result: SlirpResult }
  | { readonly type: 'lease'; readonly lease: Lease }

const PREFIX = 4
/** Bytes of a command; a configuration with hundreds of forwards has some ten kilobytes. */
export const MAX_MESSAGE = 1024 * 1024
/** Bytes of a reply; the longest one, all counts, has under one kilobyte. */
const MAX_REPLY = 16 * 1024
/** Replies in a second: one a second is usual, and one more for each forward that is changed. */
const MAX_REPLIES = 1000

export function encodeMessage(message: SlirpRequest | SlirpReply): Buffer {
  const text = Buffer.from(JSON.stringify(message))
  const prefix = Buffer.alloc(PREFIX)
  prefix.writeUInt32BE(text.length)
  return Buffer.concat([prefix, text])
}

/** Puts messages together from pieces of the stream. */
export class MessageReader<Message> {
  readonly #limit: number
  #waiting = Buffer.alloc(0)

  constructor(limit = MAX_MESSAGE) {
    this.#limit = limit
  }

  /** Throws where the stream holds no message. */
  push(piece: Uint8Array): Message[] {
    this.#waiting = this.#waiting.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#waiting, piece])
    const messages: Message[] = []
    while (this.#waiting.length >= PREFIX) {
      const length = this.#waiting.readUInt32BE(0)
      if (length > this.#limit) throw new Error(`a message of ${length} bytes`)
      if (this.#waiting.length < PREFIX + length) break
      messages.push(JSON.parse(this.#waiting.toString('utf8', PREFIX, PREFIX + length)))
      this.#waiting = this.#waiting.subarray(PREFIX + length)
    }
    return messages
  }
}

/** The switch's reader: what comes without end is no talk either, and would take the main thread's time. */
export class ReplyReader {
  readonly #reader = new MessageReader<SlirpReply>(MAX_REPLY)
  readonly #now: () => number
  #since = 0
  #count = 0

  /** `now` in milliseconds, on any clock. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Throws where the stream holds no message, and when there are too many. */
  push(piece: Uint8Array): SlirpReply[] {
    const replies = this.#reader.push(piece)
    const now = this.#now()
    if (now - this.#since >= 1000) {
      this.#since = now
      this.#count = 0
    }
    this.#count += replies.length
    if (this.#count > MAX_REPLIES) throw new Error(`more than ${MAX_REPLIES} messages in a second`)
    return replies
  }
}
