import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { beforeEach, describe, it } from 'node:test'
import { LineWriter } from '#src/cli/line-writer.js'

const { EAGAIN, ENOSPC, EPIPE } = constants.errno

describe('LineWriter', () => {
  let taken: string
  /** Bytes that are taken before `fault` is answered. */
  let room: number
  let fault: number
  let troubles: (string | null)[]
  let writer: LineWriter

  const write = (bytes: Uint8Array): number => {
    const count = Math.min(room, bytes.length)
    if (count === 0) return -fault
    room -= count
    taken += Buffer.from(bytes.subarray(0, count))
    return count
  }

  beforeEach(() => {
    taken = ''
    room = Number.POSITIVE_INFINITY
    fault = EAGAIN
    troubles = []
    writer = new LineWriter({
      write,
      lostLine: lost => `lost ${lost}\n`,
      onTrouble: why => void troubles.push(why),
      maxBytes: 100,
    })
  })

  it('writes at once while it can', () => {
    writer.write('a\n')
    writer.write('b\n')
    assert.equal(taken, 'a\nb\n')
  })

  it('goes on within a line where the reader stopped, in order, and loses nothing that fits', t => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    room = 3
    writer.write('first\n')
    writer.write('second\n')
    assert.equal(taken, 'fir')
    room = Number.POSITIVE_INFINITY
    t.mock.timers.tick(20)
    assert.equal(taken, 'first\nsecond\n')
    assert.deepEqual([writer.lost, troubles], [0, []])
  })

  it('keeps a bounded amount, and says how many lines are missing where they are missing', t => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    room = 0
    for (let i = 0; i < 1000; i++) writer.write('0123456789\n')
    assert.equal(writer.lost, 991)
    assert.deepEqual(troubles, ['EAGAIN'])
    room = Number.POSITIVE_INFINITY
    t.mock.timers.tick(20)
    writer.write('after\n')
    assert.equal(taken, `${'0123456789\n'.repeat(9)}lost 991\nafter\n`)
    assert.deepEqual(troubles, ['EAGAIN', null])
  })

  it('writes what waited once a full disk has space again', t => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    ;[room, fault] = [0, ENOSPC]
    writer.write('waits\n')
    assert.deepEqual(troubles, ['ENOSPC'])
    t.mock.timers.tick(5000)
    assert.equal(taken, '')
    room = Number.POSITIVE_INFINITY
    t.mock.timers.tick(1000)
    assert.equal(taken, 'waits\n')
    assert.deepEqual(troubles, ['ENOSPC', null])
  })

  it('gives up when the reader is gone, and counts', () => {
    ;[room, fault] = [0, EPIPE]
    for (let i = 0; i < 5; i++) writer.write('x\n')
    assert.equal(writer.lost, 5)
    assert.deepEqual(troubles, ['EPIPE'])
  })

  it('writes what waits when the process exits, and does not wait longer than a moment', t => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    room = 0
    writer.write('last words\n')
    const before = performance.now()
    writer.flushAtExit()
    assert.ok(performance.now() - before < 2000, 'the reader never reads')
    room = Number.POSITIVE_INFINITY
    writer.flushAtExit()
    assert.equal(taken, 'last words\n')
  })
})
