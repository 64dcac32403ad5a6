/**
 * One WebSocket and one port of the switch, coupled: a binary message is a frame, both ways.
 *
 * Frames come from the data plane many at a time, in one piece of what the kernel had. While such a piece is taken
 * apart the socket is corked, so that they leave in one system call, too; `ws` alone makes one for each message, which
 * is what a plain relay spends its time on.
 *
 * Nobody waits for anybody. While the peer does not take what it gets, the port is not read: frames for it wait, and
 * are dropped and counted, in its queue. While the data plane does not take what the peer sends, the socket is not
 * read, and TCP makes the peer wait.
 *
 * Both are read by turns (intake.ts), so nobody takes this thread for himself.
 *
 * A peer is gone when nothing was heard of it, not even an answer to a ping, for `idleMs`: TCP alone does not tell for
 * hours.
 */
import type { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import type { JoinedPort, JoinedPortHandlers } from '../stream/joined.js'
import { type Contain, contained } from '../transport.js'
import { Intake } from './intake.js'
import { CHECK_MS, CLOSE_MS, MAX_BUFFERED } from './options.js'
import type { Tally } from './tally.js'

export interface LinkOptions {
  pingMs: number
  idleMs: number
  /** Answer the text "ping:<x>" by "pong:<x>". */
  textPings: boolean
}

export interface LinkParts {
  ws: WebSocket
  /** What the WebSocket runs on. */
  socket: Duplex
  options: LinkOptions
  tally: Tally
  contain: Contain
  openPort: (handlers: JoinedPortHandlers) => JoinedPort
  /** For the first text of the peer: whether it was a proof of who the peer is. */
  takesProof?: ((text: string) => boolean) | undefined
  /** Once, when it is over; `why` is for people. */
  ended: (why: string) => void
}

/** RFC 6455 section 7.4.1, and the IANA registry for the second. */
const GOING_AWAY = 1001
const TRY_AGAIN_LATER = 1013

const binary = { binary: true, compress: false }
/** Bytes of a text that may be a proof. */
const MAX_PROOF = 256
/** A text that is answered; anything longer is no ping. */
const TEXT_PING = /^ping:[\x20-\x7e]{0,120}$/

export class Link {
  readonly #parts: LinkParts
  readonly #port: JoinedPort
  readonly #fromPeer: Intake
  readonly #fromSwitch: Intake
  /** What the data plane had no room for. At most what had been read from the socket by then. */
  #held: Uint8Array[] = []
  #corked = false
  #heardAt: number
  #heardSince = false
  #pingedAt: number
  #why = ''
  #awaitsProof: boolean

  /** `now` in milliseconds, as for `check`. */
  constructor(parts: LinkParts, now: number) {
    this.#parts = parts
    this.#heardAt = now
    this.#pingedAt = now
    this.#awaitsProof = parts.takesProof !== undefined
    const { ws, socket } = parts
    this.#port = parts.openPort({
      onFrame: frame => this.#transmit(frame),
      onWritable: () => this.#resumeReceiving(),
      onRefused: reason => this.close(reason, TRY_AGAIN_LATER),
    })
    this.#fromPeer = new Intake(ws)
    this.#fromSwitch = new Intake(this.#port)
    ws.on(
      'message',
      this.#contained((data: RawData, isBinary: boolean) => this.#receive(data, isBinary)),
    )
    ws.on(
      'ping',
      this.#contained(() => this.#heard()),
    )
    ws.on(
      'pong',
      this.#contained(() => this.#heard()),
    )
    ws.on(
      'error',
      this.#contained((error: Error) => this.#failed(error)),
    )
    ws.once(
      'close',
      this.#contained((code: number) => this.#closed(code)),
    )
    socket.on(
      'drain',
      this.#contained(() => this.#fromSwitch.release()),
    )
  }

  /** Every CHECK_MS or so. */
  check(now: number): void {
    const { ws, options } = this.#parts
    if (this.#heardSince) {
      this.#heardSince = false
      this.#heardAt = now
    }
    if (now - this.#heardAt >= options.idleMs) {
      this.#why ||= `nothing was heard of it for ${Math.round(options.idleMs / 1000)} s`
      ws.terminate()
    } else if (now - this.#pingedAt > options.pingMs - CHECK_MS / 2) {
      this.#pingedAt = now
      ws.ping()
    }
  }

  /** Says goodbye, and cuts the connection when the peer does not. */
  close(why: string, status = GOING_AWAY): void {
    const { ws } = this.#parts
    this.#why ||= why
    ws.close(status, why.slice(0, 120))
    setTimeout(() => ws.terminate(), CLOSE_MS).unref()
  }

  /** A listener whose failure ends this connection, and no other. */
  #contained<Args extends unknown[]>(listener: (...args: Args) => void): (...args: Args) => void {
    const { ws, contain } = this.#parts
    return contained(contain, listener, () => {
      this.#why ||= 'a fault of the switch'
      ws.terminate()
    })
  }

  #heard(): void {
    this.#heardSince = true
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#heardSince = true
    // As `binaryType` is "nodebuffer", in which each message is one Buffer.
    const message = data as Buffer
    this.#fromPeer.took(message.length)
    if (!isBinary) this.#receiveText(message)
    else if (message.length === 0) this.#parts.tally.count('not-a-frame')
    else if (this.#held.length > 0 || !this.#port.send(message)) this.#hold(message)
  }

  #receiveText(message: Buffer): void {
    const { ws, socket, options, tally, takesProof } = this.#parts
    if (this.#awaitsProof) {
      this.#awaitsProof = false
      if (message.length < MAX_PROOF && takesProof?.(message.toString('latin1'))) return
    }
    const text = options.textPings && message.length < 128 ? message.toString('latin1') : ''
    if (!TEXT_PING.test(text)) tally.count('not-a-frame')
    // A client that asks and does not read the answers gets no more of them.
    else if (!socket.writableNeedDrain) ws.send(`pong:${text.slice(5)}`)
  }

  #hold(message: Uint8Array): void {
    this.#fromPeer.hold()
    this.#held.push(message)
  }

  #resumeReceiving(): void {
    const sent = this.#held.findIndex(message => !this.#port.send(message))
    this.#held = sent < 0 ? [] : this.#held.slice(sent)
    if (this.#held.length === 0) this.#fromPeer.release()
  }

  #transmit(frame: Uint8Array): void {
    const { ws, socket } = this.#parts
    if (ws.readyState !== ws.OPEN) return
    if (!this.#corked) {
      this.#corked = true
      socket.cork()
      process.nextTick(() => {
        this.#corked = false
        socket.uncork()
      })
    }
    ws.send(frame, binary)
    this.#fromSwitch.took(frame.length)
    if (socket.writableLength > MAX_BUFFERED) this.#fromSwitch.hold()
  }

  #failed(error: Error & { code?: string }): void {
    if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') this.#parts.tally.count('bad-length')
    this.#why ||= error.message
  }

  #closed(code: number): void {
    this.#held = []
    this.#port.close()
    this.#parts.ended(this.#why || `closed by its peer (status ${code})`)
  }
}
