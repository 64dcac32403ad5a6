/**
 * The log on stderr. One JSON object a line for programs; on a terminal the same lines for people: time of day, level,
 * message, then the fields. pino-pretty would do that too, for a dependency larger than this file. What happens when
 * stderr does not take lines is in line-writer.ts.
 */
import { isatty } from 'node:tty'
import pino from 'pino'
import type { LogLevel } from '../config/config.js'
import type { Logger } from '../log.js'
import { platformLayout } from '../os/os.js'
import { unwaitingOutput } from '../os/unwaiting-output.js'
import { LineWriter } from './line-writer.js'

interface LineSink {
  write(line: string): void
}

/** The log of this process, and how well it is written. */
export interface ProcessLog {
  readonly log: Logger
  /** Lines that could not be written since the start. */
  readonly linesDropped: () => number
  /**
   * Calls back when lines begin to get lost (with the error's name) and when they are written again (null); now, if
   * they get lost now.
   */
  onTrouble(listener: (why: string | null) => void): void
}

/** Writes to stderr; what waits when the process exits is written then, for a limited time. */
export function createLogger(level: LogLevel): ProcessLog {
  const asLine = isatty(2) ? (json: string) => `${readableLine(json)}\n` : (json: string) => json
  let trouble: string | null = null
  let listener = (_why: string | null) => {}
  const writer = new LineWriter({
    write: unwaitingOutput(2, platformLayout()),
    lostLine: lost => asLine(lostLine(lost)),
    onTrouble: why => {
      trouble = why
      listener(why)
    },
  })
  process.once('exit', () => writer.flushAtExit())
  const log = loggerTo({ write: line => writer.write(asLine(line)) }, level)
  takeOverWarnings(log)
  return {
    log,
    linesDropped: () => writer.lost,
    onTrouble: tell => {
      listener = tell
      if (trouble !== null) tell(trouble)
    },
  }
}

/**
 * What Node.js itself has to say goes the same way; what it still writes to its own stderr must not end the process.
 */
function takeOverWarnings(log: Logger): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => log.warn({ warning: name }, message))
  process.stderr.on('error', () => {})
}

/** Prints lines on stdout. */
export type Print = (text: string) => void

/** As the log: a stdout that takes nothing holds nothing up. */
export function unwaitingStdout(): Print {
  const writer = new LineWriter({
    write: unwaitingOutput(1, platformLayout()),
    lostLine: lost => `${lost} lines lost\n`,
  })
  process.once('exit', () => writer.flushAtExit())
  return text => writer.write(`${text}\n`)
}

function lostLine(lost: number): string {
  const line = { level: 'warn', time: new Date().toISOString(), lost, msg: `log lines lost: ${lost}` }
  return `${JSON.stringify(line)}\n`
}

/** A log to any sink. */
export function loggerTo(destination: LineSink, level: LogLevel): Logger {
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
export function readable(out: LineSink): LineSink {
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
