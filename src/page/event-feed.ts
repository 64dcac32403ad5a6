/**
 * The stream of events, for ever. A browser comes back by itself after a break, and asks for the events it missed; but
 * it gives up for good when the answer is not a stream of events, such as the error page of a proxy. Then this asks for
 * the reason, tells it, and begins anew.
 */
import { isOfType, noAnswer, noEvents, wordsOf } from './trouble.js'

const PATH = 'v1/events'
/** Milliseconds until a stream that has not begun is told of; breaks of a moment are not. */
const PATIENCE_MS = 6000
/** Milliseconds until a stream that the browser gave up is asked for again. */
const RETRY_MS = 5000

export interface EventFeedParts {
  /** The events that are heard; an EventSource hears only of those it names. */
  readonly types: readonly string[]
  readonly onEvent: (type: string, data: string) => void
  /** Why none come; empty when they do. */
  readonly onTrouble: (words: string) => void
}

export function followEvents(parts: EventFeedParts): void {
  const { types, onEvent, onTrouble } = parts
  const source = new EventSource(PATH)
  for (const type of types) {
    source.addEventListener(type, ({ data }: MessageEvent<string>) => onEvent(type, data))
  }
  let impatience: ReturnType<typeof setTimeout> | undefined
  const wait = () => {
    impatience ??= setTimeout(() => onTrouble(noEvents), PATIENCE_MS)
  }
  const stopWaiting = () => {
    clearTimeout(impatience)
    impatience = undefined
  }
  source.addEventListener('open', () => {
    stopWaiting()
    onTrouble('')
  })
  source.addEventListener('error', () => {
    if (source.readyState !== EventSource.CLOSED) return wait()
    stopWaiting()
    void whyNot().then(onTrouble)
    setTimeout(() => followEvents(parts), RETRY_MS)
  })
  wait()
}

/** EventSource does not say what it was answered, so it is asked for once more. */
async function whyNot(): Promise<string> {
  const leave = new AbortController()
  try {
    const answer = await fetch(PATH, {
      headers: { accept: 'text/event-stream' },
      cache: 'no-store',
      signal: leave.signal,
    })
    if (answer.ok && isOfType(answer, 'text/event-stream')) return noEvents
    return await wordsOf(answer, location.host)
  } catch {
    return noAnswer
  } finally {
    leave.abort()
  }
}
