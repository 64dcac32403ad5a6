/** What a process that a guest has taken over may say, and what the switch makes of it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeMessage, ReplyReader } from '#src/slirp/messages.js'
import { countsOf } from '#src/slirp/shared-state.js'

const lease = { type: 'lease', lease: { mac: '52:54:00:00:00:01', address: '10.0.2.15' } } as const

describe('replies of the slirp process', () => {
  it('are taken a thousand in a second; one more is an error', () => {
    let now = 0
    const reader = new ReplyReader(() => now)
    const some = Buffer.concat(Array.from({ length: 500 }, () => encodeMessage(lease)))
    assert.equal(reader.push(some).length, 500)
    assert.equal(reader.push(some).length, 500)
    now = 999
    assert.throws(() => reader.push(encodeMessage(lease)), /more than 1000 messages in a second/)
    now = 2000
    assert.deepEqual(reader.push(encodeMessage(lease)), [lease])
  })

  it('are short: 16 KiB', () => {
    const refusal = 'x'.repeat(16 * 1024)
    const long = encodeMessage({ type: 'reply', id: 1, result: { refusal } })
    assert.throws(() => new ReplyReader().push(long), /a message of \d+ bytes/)
  })

  it('count in whole numbers; all else is 0, so that every answer of the API can carry it', () => {
    const told = JSON.parse('{"sockets":1e999,"forwarded":-1,"dropped":0.5,"refused":"7","guestErrors":7,"other":1}')
    const { sockets, forwarded, dropped, refused, guestErrors, ...rest } = countsOf(told)
    assert.deepEqual([sockets, forwarded, dropped, refused, guestErrors], [0, 0, 0, 0, 7])
    assert.ok(Object.values(rest).every(count => count === 0))
    assert.ok(!('other' in rest))
  })
})
