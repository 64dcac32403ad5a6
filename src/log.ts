/**
 * The log as the rest of the program sees it. What writes the lines is chosen in cli/log.ts; modules take a `Logger`
 * and import nothing else.
 */

export interface LogMethod {
  (fields: object, message: string): void
  (message: string): void
}

export interface Logger {
  readonly debug: LogMethod
  readonly info: LogMethod
  readonly warn: LogMethod
  readonly error: LogMethod
  child(fields: Record<string, unknown>): Logger
}

/**
 * Wraps one kind of message so that it is written at most once in `intervalMs`; the next line that is written says how
 * many were left out in between, as `suppressed`. `now` is in milliseconds, on any clock.
 */
export function rateLimited(
  write: (fields: object, message: string) => void,
  intervalMs: number,
  now: () => number = () => performance.now(),
): (fields: object, message: string) => void {
  let nextAt = Number.NEGATIVE_INFINITY
  let suppressed = 0
  return (fields, message) => {
    const at = now()
    if (at < nextAt) {
      suppressed++
      return
    }
    write(suppressed === 0 ? fields : { ...fields, suppressed }, message)
    nextAt = at + intervalMs
    suppressed = 0
  }
}
