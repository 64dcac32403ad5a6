import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loggerTo, readable, readableLine } from '#src/cli/log.js'
import { type LogMethod, rateLimited } from '#src/log.js'

function collect(): { lines: string[]; write(line: string): void } {
  const lines: string[] = []
  return { lines, write: line => void lines.push(line) }
}

describe('the log', () => {
  it('is one JSON object a line, with the time in ISO 8601', () => {
    const out = collect()
    loggerTo(out, 'info').child({ transport: 'vms' }).warn({ peer: '/a' }, 'peer gone')
    assert.equal(out.lines.length, 1)
    assert.ok(out.lines[0].endsWith('}\n'))
    const { time, ...rest } = JSON.parse(out.lines[0])
    assert.equal(new Date(time).toISOString(), time)
    assert.deepEqual(rest, { level: 'warn', transport: 'vms', peer: '/a', msg: 'peer gone' })
  })

  it('leaves out what is below its level', () => {
    const out = collect()
    const log = loggerTo(out, 'warn')
    log.info('no')
    log.error('yes')
    assert.deepEqual(
      out.lines.map(line => JSON.parse(line).msg),
      ['yes'],
    )
    loggerTo(out, 'silent').error('no')
    assert.equal(out.lines.length, 1)
  })

  it('is readable on a terminal', () => {
    const line = '{"level":"info","time":"2026-01-02T03:04:05.678Z","port":"vms:1","frames":3,"msg":"port up"}'
    assert.equal(readableLine(line), '03:04:05.678 info  port up port="vms:1" frames=3'.replaceAll('"', ''))
  })

  it('shows the stack of an error, on a terminal', () => {
    const out = collect()
    loggerTo(readable(out), 'info').error({ error: new Error('broken') }, 'failed')
    assert.match(out.lines[0], /error failed\nError: broken\n {4}at /)
  })

  it('does not pass control characters to a terminal', () => {
    const out = collect()
    loggerTo(readable(out), 'info').info({ peer: '\u001b[2J' }, 'peer')
    assert.ok(out.lines[0].endsWith(' peer="\\u001b[2J"\n'), out.lines[0])
  })
})

describe('a rate limit', () => {
  it('writes once in the interval and then says how many were left out', () => {
    const written: unknown[] = []
    const write: LogMethod = (...args: unknown[]) => void written.push(args)
    let now = 0
    const limited = rateLimited(write, 1000, () => now)
    limited({ n: 1 }, 'full')
    now = 999
    limited({ n: 2 }, 'full')
    limited({ n: 3 }, 'full')
    now = 1000
    limited({ n: 4 }, 'full')
    now = 2000
    limited({ n: 5 }, 'full')
    assert.deepEqual(written, [
      [{ n: 1 }, 'full'],
      [{ n: 4, suppressed: 2 }, 'full'],
      [{ n: 5 }, 'full'],
    ])
  })
})
