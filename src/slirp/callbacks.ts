/**
 * The functions that libslirp calls: JavaScript, made callable by koffi, their addresses in the shared table. libslirp
 * calls back only while it is being called, so all of them run on the thread that does.
 *
 * One costs about 0.2 us, and a copy of a frame inside 0.15 us more (koffi 3.3; 1.8 us with a view, 3.4 us decoded to
 * an array). libslirp asks for the time with every packet it sends. The time of a turn will do, it is in shared memory,
 * and glib, which libslirp is built on, exports a function that reads a 64-bit integer from an address: so that
 * callback is C where there is glib.
 */
import koffi from 'koffi'
import { type CallbackName, callbackNames, type SharedState } from './shared-state.js'

export interface Handlers {
  /** A frame for the guests; the address is good until it returns. */
  sendPacket(address: number, length: number): void
  guestError(): void
  /** A socket of the host that it opened, or is about to close. */
  socketOpened(fd: number): void
  socketClosed(fd: number): void
  /** Returns a handle, not 0. `run` is C code for libslirp before 4.7, 0 for `slirp_handle_timer` afterwards. */
  newTimer(id: number, run: number, opaque: number): number
  freeTimer(handle: number): void
  /** `at`: milliseconds on the clock of `SharedState.now`. */
  setTimer(handle: number, at: number): void
}

// Each has a name: pointers to nameless types may be mixed up by koffi 3.3, which knows them by a name of its own
// making.
const pointer = 'uintptr_t'
const prototypes = {
  send_packet: koffi.proto('slirp_send_packet', 'long', [pointer, 'size_t', pointer]),
  guest_error: koffi.proto('slirp_guest_error', 'void', [pointer, pointer]),
  clock_get_ns: koffi.proto('slirp_clock_get_ns', 'int64_t', [pointer]),
  timer_new: koffi.proto('slirp_timer_new', pointer, [pointer, pointer, pointer]),
  timer_free: koffi.proto('slirp_timer_free', 'void', [pointer, pointer]),
  timer_mod: koffi.proto('slirp_timer_mod', 'void', [pointer, 'int64_t', pointer]),
  register_poll_fd: koffi.proto('slirp_register_poll_fd', 'void', ['int', pointer]),
  unregister_poll_fd: koffi.proto('slirp_unregister_poll_fd', 'void', ['int', pointer]),
  notify: koffi.proto('slirp_notify', 'void', [pointer]),
  init_completed: koffi.proto('slirp_init_completed', 'void', [pointer, pointer]),
  timer_new_opaque: koffi.proto('slirp_timer_new_opaque', pointer, ['int', pointer, pointer]),
} satisfies Record<CallbackName, unknown>

const nothing = () => undefined

export class Callbacks {
  readonly #registered: bigint[] = []

  /** Puts them into the table, over what was there. */
  constructor(shared: SharedState, handlers: Handlers, load64: bigint | null) {
    const functions: Record<CallbackName, (...args: number[]) => number | undefined> = {
      send_packet: (address, length) => {
        handlers.sendPacket(address, length)
        // Anything else is printed by libslirp; what was dropped is counted here.
        return length
      },
      guest_error: () => {
        handlers.guestError()
        return undefined
      },
      clock_get_ns: () => shared.now,
      timer_new: (run, opaque) => handlers.newTimer(0, run, opaque),
      timer_free: handle => {
        handlers.freeTimer(handle)
        return undefined
      },
      timer_mod: (handle, at) => {
        handlers.setTimer(handle, at)
        return undefined
      },
      register_poll_fd: fd => {
        handlers.socketOpened(fd)
        return undefined
      },
      unregister_poll_fd: fd => {
        handlers.socketClosed(fd)
        return undefined
      },
      notify: nothing,
      init_completed: nothing,
      timer_new_opaque: (id, opaque) => handlers.newTimer(id, 0, opaque),
    }
    for (const name of callbackNames) {
      if (name === 'clock_get_ns' && load64 !== null) {
        shared.setCallback(name, load64)
        continue
      }
      const address = koffi.register(functions[name], koffi.pointer(prototypes[name]))
      this.#registered.push(address)
      shared.setCallback(name, address)
    }
  }

  /** After this, libslirp must not be called with the table any more. */
  close(): void {
    for (const address of this.#registered.splice(0)) koffi.unregister(address)
  }
}

/** Calls a C function `void (*)(void *)`. */
export function callTimer(run: number, opaque: number): void {
  koffi.call(BigInt(run), timerFunction, opaque)
}
const timerFunction = koffi.proto('slirp_timer', 'void', [pointer])

/** For `slirp_pollfds_fill`: (descriptor, events) to a place. */
export const addPollFunction = koffi.pointer(koffi.proto('slirp_add_poll', 'int', ['int', 'int', pointer]))
/** For `slirp_pollfds_poll`: a place to events. */
export const returnedFunction = koffi.pointer(koffi.proto('slirp_get_revents', 'int', ['int', pointer]))
