import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { InternalFaults } from '#src/control/internal-faults.js'
import { recordingLogger } from '../../support/recording-logger.js'

describe('an exception that is no transport’s', () => {
  const build = () => {
    const log = recordingLogger()
    const raised: string[] = []
    let exits = 0
    let now = 0
    const faults = new InternalFaults({
      log,
      findings: { raise: ({ code, message }) => void raised.push(`${code}: ${message}`) },
      subject: () => ({ kind: 'switch', name: 'lab' }),
      exit: () => void exits++,
      now: () => now,
    })
    return {
      faults,
      log,
      raised,
      exits: () => exits,
      pass: (ms: number) => {
        now += ms
      },
    }
  }

  it('is logged with its stack, is a finding, and ends nothing', () => {
    const { faults, log, raised, exits } = build()
    faults.add(new Error('injected'))
    assert.match(JSON.stringify(log.lines[0]?.fields), /Error: injected\\n +at /)
    assert.match(raised[0] ?? '', /^internal-fault: .*injected.*restart/)
    assert.equal(exits(), 0)
  })

  it('is logged five times within ten seconds, and counted', () => {
    const { faults, log, pass } = build()
    for (let i = 0; i < 100; i++) faults.add(new Error('injected'))
    assert.equal(log.lines.length, 5)
    pass(10_001)
    faults.add('not even an error')
    assert.deepEqual([log.lines.length, log.lines.at(-1)?.fields], [6, { err: 'not even an error', count: 101 }])
  })

  it('ends the process, with a line, when there is nothing but exceptions', () => {
    const { faults, log, exits, pass } = build()
    for (let i = 0; i < 999; i++) faults.add(new Error('injected'))
    pass(10_001)
    for (let i = 0; i < 999; i++) faults.add(new Error('injected'))
    assert.equal(exits(), 0)
    faults.add(new Error('injected'))
    assert.equal(exits(), 1)
    assert.match(log.lines.at(-1)?.message ?? '', /without end/)
  })
})
