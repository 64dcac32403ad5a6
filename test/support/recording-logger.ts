import type { Logger, LogMethod } from '#src/log.js'

export interface Line {
  level: 'debug' | 'info' | 'warn' | 'error'
  fields: object
  message: string
}

/** A logger that keeps its lines. */
export function recordingLogger(): Logger & { lines: Line[] } {
  const lines: Line[] = []
  const write =
    (level: Line['level']): LogMethod =>
    (first: object | string, message?: string) => {
      lines.push(
        typeof first === 'string'
          ? { level, fields: {}, message: first }
          : { level, fields: first, message: message ?? '' },
      )
    }
  const logger = {
    lines,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => logger,
  }
  return logger
}
