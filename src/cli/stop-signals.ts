/**
 * Signals of a command that runs until it is told to stop. The first SIGINT or SIGTERM asks for a clean stop; a second
 * SIGINT, or a clean stop that takes too long, ends the process at once.
 *
 * At once means SIGKILL to ourselves: `process.exit` waits for a thread that sits in a foreign call, possibly for ever. Socket
 * files are left then; the next start replaces them.
 */
export interface StopSignals {
  /** The first signal that asked to stop. */
  readonly stop: Promise<NodeJS.Signals>
  /** Who is told of SIGHUP; until somebody is, it does nothing. */
  onHangup(listener: () => void): void
  /** Takes the handlers away. */
  release(): void
}

/** Milliseconds that a clean stop may take; arbitrary, but far above the data plane's own waits. */
const stopDeadline = 10_000

export function watchStopSignals(): StopSignals {
  // Neither a signal handler nor a promise keeps the process alive.
  const alive = setInterval(() => {}, 0x7fffffff)
  let deadline: NodeJS.Timeout | undefined
  let hangup = () => {}
  let stopping = false
  let requestStop: (signal: NodeJS.Signals) => void
  const stop = new Promise<NodeJS.Signals>(resolve => {
    requestStop = resolve
  })
  const onStop = (signal: NodeJS.Signals) => {
    if (stopping && signal === 'SIGINT') endAtOnce()
    if (stopping) return
    stopping = true
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
