import { setTimeout as delay } from 'node:timers/promises'

const intervalMs = 10

/**
 * Asks again and again for something that nobody announces, until it is as wanted; fails with what it was at the end.
 */
export async function eventually<Value>(
  read: () => Value | Promise<Value>,
  isWanted: (value: Value) => boolean,
  what: string,
  timeoutMs = 5000,
): Promise<Value> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await read()
    if (isWanted(value)) return value
    if (performance.now() > deadline)
      throw new Error(`not within ${timeoutMs} ms: ${what}; last ${JSON.stringify(value)}`)
    await delay(intervalMs)
  }
}
