/** A command that goes on until it is told to stop: by a signal, or because what it prints is read no longer. */
import { watchStopSignals } from '../stop-signals.js'

/** Milliseconds between two looks whether stdout still has a reader. */
const LOOK_MS = 500

export async function untilTold(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const { readerIsGone } = await import('../../os/reader-gone.js')
  const signals = watchStopSignals()
  const stop = new AbortController()
  const end = () => stop.abort()
  signals.stop.then(end)
  process.stdout.once('error', end)
  const look = setInterval(() => {
    if (readerIsGone(1)) end()
  }, LOOK_MS)
  try {
    await work(stop.signal)
  } finally {
    clearInterval(look)
    process.stdout.off('error', end)
    signals.release()
  }
}
