/**
 * Takes down the stack of a thread that died without doing so: the host's ports it listens on would stay taken, its sockets open.
 *
 * The thread is dead, and with it the functions that its callbacks were; but the table they are called through is ours, so other
 * functions are put into it first. libslirp is consistent: a thread is ended between two of its JavaScript instructions or on its way
 * out of a call, never within C.
 */
import { Callbacks, type Handlers } from './callbacks.js'
import { loadSlirp } from './library.js'
import type { SharedState } from './shared-state.js'

export function bury(shared: SharedState): void {
  if (shared.stack === 0) return
  const library = loadSlirp()
  const handlers: Handlers = {
    sendPacket: () => {},
    guestError: () => {},
    socketOpened: () => {},
    socketClosed: () => {},
    newTimer: () => 1,
    freeTimer: () => {},
    setTimer: () => {},
  }
  const callbacks = new Callbacks(shared, handlers, library.load64)
  library.cleanup(shared.stack)
  shared.stack = 0
  callbacks.close()
}
