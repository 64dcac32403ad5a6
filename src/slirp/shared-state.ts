/**
 * Memory that libslirp and this process share: the table of callbacks that libslirp keeps a pointer to, and the time.
 * Beside it counters, for people.
 *
 *     0    struct SlirpCb, eleven pointers
 *     88   the time in nanoseconds, 64-bit integer
 */
import { NativeMemory } from '../os/native-memory.js'
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
const CLOCK = callbackNames.length * POINTER

/** `refusedGuest`: the MAC address, as a number, of the guest that was refused a connection last; 0 for none. */
const counterNames = ['dropped', 'guestErrors', 'sockets', 'forwarded', 'refusedGuest'] as const
export type CounterName = (typeof counterNames)[number]
export type SlirpCounts = Readonly<Record<CounterName | Refusal | 'refused', number>>

export class SharedState {
  readonly #memory = new NativeMemory(CLOCK + 8)
  /** Of the table of callbacks, for C. */
  readonly address: number
  /** Of the time, for C: what libslirp hands back with every callback. */
  readonly clockAddress: number
  readonly #pointers: BigUint64Array
  readonly #clock: BigInt64Array
  readonly #cells = new Float64Array(counterNames.length)
  /** Frames of guests that were kept from the stack, by reason. */
  readonly refusals = new RefusalCounts()

  constructor() {
    const { buffer } = this.#memory
    this.address = this.#memory.address
    this.clockAddress = this.address + CLOCK
    this.#clock = new BigInt64Array(buffer, CLOCK, 1)
    this.#pointers = new BigUint64Array(buffer, 0, callbackNames.length)
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

const countNames = [...counterNames, ...refusals, 'refused'] as const

/**
 * Counts that another process tells: known names and whole numbers only, 0 for all else. Null: it has not said anything
 * yet.
 */
export function countsOf(told: Partial<Record<string, unknown>> | null): SlirpCounts {
  return Object.fromEntries(countNames.map(name => [name, countOf(told?.[name])])) as SlirpCounts
}

/** JSON has numbers that no answer of the API can carry, as 1e999. */
function countOf(told: unknown): number {
  return Number.isSafeInteger(told) && (told as number) >= 0 ? (told as number) : 0
}
