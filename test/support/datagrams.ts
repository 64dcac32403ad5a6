/** Sending and receiving many datagrams with the calls of a peer that does not block. Every wait is bounded. */
import { getSystemErrorName } from 'node:util'
import { ready } from './readiness.js'

export interface SendResult {
  /** Datagrams the kernel took, from the front. */
  count: number
  /** Name of the error that stopped it, e.g. 'EAGAIN'; null when all were taken. */
  error: string | null
}

/** `sendSome` sends frames from the one with this number on; it returns how many, or a negated error number. */
export function sendWhileTaken(
  frames: readonly Uint8Array[],
  sendSome: (frames: readonly Uint8Array[], first: number) => number,
): SendResult {
  let count = 0
  while (count < frames.length) {
    const sent = sendSome(frames, count)
    if (sent < 0) return { count, error: getSystemErrorName(sent) }
    count += sent
  }
  return { count, error: null }
}

/** Waits for room as long as there is none. Rejects after `timeoutMs`, and at any error but want of room. */
export async function sendAll(
  who: string | null,
  frames: readonly Uint8Array[],
  timeoutMs: number,
  sendNow: (frames: readonly Uint8Array[]) => SendResult,
  untilRoom: (leftMs: number) => Promise<unknown>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (let sent = 0; ; ) {
    const { count, error } = sendNow(frames.slice(sent))
    sent += count
    if (error === null) return
    if (error !== 'EAGAIN' && error !== 'ENOBUFS') throw new Error(`send by ${who}: ${error}`)
    const left = deadline - performance.now()
    if (left <= 0) throw new Error(`send by ${who}: no room for frame ${sent} of ${frames.length} in ${timeoutMs} ms`)
    await untilRoom(left)
  }
}

/**
 * The next `count` of `inbox`, which `read` fills from the descriptor; it returns how many came. Rejects after
 * `timeoutMs` in all.
 */
export async function takeAll<Received>(
  who: string | null,
  fd: number,
  inbox: Received[],
  count: number,
  timeoutMs: number,
  read: () => number,
): Promise<Received[]> {
  const deadline = performance.now() + timeoutMs
  while (inbox.length < count) {
    if (read() > 0) continue
    const left = deadline - performance.now()
    if (left <= 0 || !(await ready(fd, 'readable', left))) {
      throw new Error(`${who} got ${inbox.length} of ${count} frames in ${timeoutMs} ms`)
    }
  }
  return inbox.splice(0, count)
}

export function must(what: string, result: number): number {
  if (result < 0) throw new Error(`${what}: ${getSystemErrorName(result)}`)
  return result
}
