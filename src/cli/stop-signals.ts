/**
 * Signals of a command that runs until it is told to stop. The first SIGINT or SIGTERM asks for a clean stop; a second
 * SIGINT, or a clean stop that takes too long, ends the process at once.
 *
 * One Ctrl-C can arrive twice: the terminal sends SIGINT to every process of the foreground group, and npm, which is
 * one of them, sends its child the same signal again. So a SIGINT that comes within `sameSignalMs` of the first signal
 * is the first one, seen twice.
 *
 * At once means SIGKILL to ourselves: `process.exit` waits for a thread that sits in a foreign call, possibly for ever.
 * Socket files are left then; the next start replaces them.
 */
export interface StopSignals {
  /** The first signal that asked to stop. */
  readonly stop: Promise<NodeJS.Signals>
  /** Sets the function that SIGHUP calls; until then SIGHUP does nothing. */
  onHangup(listener: () => void): void
  /** Takes the handlers away. */
  release(): void
}

/** Milliseconds that a clean stop may take; arbitrary, but far above the data plane's own waits. */
const stopDeadline = 10_000

/**
 * Milliseconds. npm 11's copy came within 2 ms, also beside ten busy processes a core; a person who tries again waits
 * longer.
 */
const sameSignalMs = 800

export function watchStopSignals(): StopSignals {
  // Neither a signal handler nor a promise keeps the process alive.
  const alive = setInterval(() => {}, 0x7fffffff)
  let deadline: NodeJS.Timeout | undefined
  let hangup = () => {}
  let firstSignal: number | null = null
  let requestStop: (signal: NodeJS.Signals) => void
  const stop = new Promise<NodeJS.Signals>(resolve => {
    requestStop = resolve
  })
  const onStop = (signal: NodeJS.Signals) => {
    const now = performance.now()
    if (firstSignal !== null) {
      if (signal === 'SIGINT' && now - firstSignal > sameSignalMs) endAtOnce()
      return
    }
    firstSignal = now
    deadline = setTimeout(endAtOnce, stopDeadline)
    requestStop(signal)
  }
  const onHangup = () => hangup()
  process.on('SIGINT', onStop).on('SIGTERM', onStop).on('SIGHUP', onHangup)
  return {
    stop,
    onHangup(listener) {
      hangup = listener
    },
    release() {
      clearInterval(alive)
      clearTimeout(deadline)
      process.off('SIGINT', onStop).off('SIGTERM', onStop).off('SIGHUP', onHangup)
    },
  }
}

function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL')
}
