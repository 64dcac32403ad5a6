/**
 * What a slirp thread shares with the main thread, so that it outlives the thread: the table of callbacks that libslirp keeps a pointer to,
 * the pointer to libslirp's own state, and counters.
 *
 *     0    struct SlirpCb, eleven pointers
 *     88   Slirp *, 0 while there is none
 *     96   the time in nanoseconds, 64-bit integer
 *     104  counters, 64-bit floats, one writer; then one for each reason to refuse a frame (refusals.ts)
 */
import koffi from 'koffi'
import { type Refusal, RefusalCounts, refusals } from './refusals.js'

/** Members of struct SlirpCb in their order (libslirp.h). */
export const callbackNames = [
  'send_packet',
  'guest_error',
  'clock_get_ns',
  'timer_new',
  'timer_free',
  'timer_mod',
  'register_poll_fd',
  'unregister_poll_fd',
  'notify',
  'init_completed',
  'timer_new_opaque',
] as const
export type CallbackName = (typeof callbackNames)[number]

const POINTER = 8
const STACK = callbackNames.length * POINTER
const CLOCK = STACK + POINTER
const COUNTERS = CLOCK + 8

/** `refusedGuest`: the MAC address, as a number, of the guest that was refused a connection last; 0 for none. */
const counterNames = ['dropped', 'guestErrors', 'sockets', 'forwarded', 'refusedGuest'] as const
export type CounterName = (typeof counterNames)[number]
export type SlirpCounts = Readonly<Record<CounterName | Refusal | 'refused', number>>

export class SharedState {
  readonly buffer: SharedArrayBuffer
  /** Of the table of callbacks, for C. */
  readonly address: number
  /** Of the time, for C: what libslirp hands back with every callback. */
  readonly clockAddress: number
  readonly #pointers: BigUint64Array
  readonly #clock: BigInt64Array
  readonly #cells: Float64Array
  /** Frames of guests that were kept from the stack, by reason. */
  readonly refusals: RefusalCounts

  constructor(buffer = new SharedArrayBuffer(COUNTERS + (counterNames.length + refusals.length) * 8)) {
    this.buffer = buffer
    this.address = Number(koffi.address(new Uint8Array(buffer)))
    this.clockAddress = this.address + CLOCK
    this.#clock = new BigInt64Array(buffer, CLOCK, 1)
    this.#pointers = new BigUint64Array(buffer, 0, callbackNames.length + 1)
    this.#cells = new Float64Array(buffer, COUNTERS, counterNames.length)
    this.refusals = new RefusalCounts(new Float64Array(buffer, COUNTERS + counterNames.length * 8, refusals.length))
  }

  /** libslirp's own state, 0 while there is none. */
  get stack(): number {
    return Number(this.#pointers[callbackNames.length])
  }

  set stack(address: number) {
    this.#pointers[callbackNames.length] = BigInt(address)
  }

  setCallback(name: CallbackName, address: bigint): void {
    this.#pointers[callbackNames.indexOf(name)] = address
  }

  /** Nanoseconds on a monotonic clock. */
  get now(): number {
    return Number(this.#clock[0])
  }

  set now(nanoseconds: number) {
    this.#clock[0] = BigInt(nanoseconds)
  }

  /** Frames of the stack that the link had no room for. */
  dropped(): void {
    this.#cells[0]++
  }

  /** Frames of guests that libslirp complained about. */
  guestError(): void {
    this.#cells[1]++
  }

  /** Sockets of the host that guests hold open, and those of connections that came through forwards. */
  setSockets(held: number, forwarded: number): void {
    this.#cells[2] = held
    this.#cells[3] = forwarded
  }

  /** A guest, as a number, that may not open another connection now. */
  refusedGuest(mac: number): void {
    this.#cells[4] = mac
  }

  counts(): SlirpCounts {
    const entries = counterNames.map((name, i) => [name, this.#cells[i]])
    const reasons = refusals.map(name => [name, this.refusals.of(name)])
    return Object.fromEntries([...entries, ...reasons, ['refused', this.refusals.total]]) as SlirpCounts
  }
}

export type SlirpCounters = Pick<SharedState, 'dropped' | 'guestError'>
