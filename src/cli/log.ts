/**
 * The log on stderr. One JSON object a line for programs; on a terminal the same lines for people: time of day, level,
 * message, then the fields. pino-pretty would do that too, for a dependency larger than this file.
 */
import { isatty } from 'node:tty'
import pino from 'pino'
import type { LogLevel } from '../config/config.js'
import type { Logger } from '../log.js'

interface LineWriter {
  write(line: string): void
}

/** Writes to stderr at once, so that no line is lost when the process ends. */
export function createLogger(level: LogLevel): Logger {
  const stderr = pino.destination({ dest: 2, sync: true })
  return loggerTo(isatty(2) ? readable(stderr) : stderr, level)
}

/** As `createLogger`, to any stream. */
export function loggerTo(destination: LineWriter, level: LogLevel): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { error: pino.stdSerializers.err },
    },
    destination,
  )
}

/** Turns JSON lines into readable ones. */
export function readable(out: LineWriter): LineWriter {
  return { write: line => out.write(`${readableLine(line)}\n`) }
}

export function readableLine(json: string): string {
  const { time, level, msg, error, ...fields } = JSON.parse(json) as Record<string, unknown>
  const details = Object.entries(fields).map(([key, value]) => ` ${key}=${plain(value)}`)
  const stack = typeof error === 'object' && error !== null && 'stack' in error ? `\n${String(error.stack)}` : ''
  return `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(msg)}${details.join('')}${stack}`
}

/** Control characters stay escaped: what a peer named itself must not steer the terminal. */
function plain(value: unknown): string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) ? value : JSON.stringify(value)
}
