import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FailureLimit } from '#src/failure-limit.js'

describe('the limit on failures', () => {
  let now = 0
  const fail = (limit: FailureLimit, address: string, times: number) => {
    for (let i = 0; i < times; i++) limit.failed(address)
  }

  it('lets an address fail twenty times, then once a second', () => {
    const limit = new FailureLimit(() => now)
    fail(limit, '192.0.2.1', 19)
    assert.equal(limit.waitSeconds('192.0.2.1'), 0)
    fail(limit, '192.0.2.1', 1)
    assert.equal(limit.waitSeconds('192.0.2.1'), 1)
    now += 999
    assert.equal(limit.waitSeconds('192.0.2.1'), 1)
    now += 2
    assert.equal(limit.waitSeconds('192.0.2.1'), 0)
    fail(limit, '192.0.2.1', 1)
    assert.equal(limit.waitSeconds('192.0.2.1'), 1)
  })

  it('does not mix up addresses, but takes a /64 of IPv6 for one', () => {
    const limit = new FailureLimit(() => now)
    fail(limit, '192.0.2.1', 20)
    assert.equal(limit.waitSeconds('192.0.2.2'), 0)
    fail(limit, '2001:db8::1', 20)
    for (const same of ['2001:db8::2', '2001:db8:0:0:ffff::1']) assert.equal(limit.waitSeconds(same), 1, same)
    for (const other of ['2001:db8:0:1::1', '2001:db9::1', '::1']) assert.equal(limit.waitSeconds(other), 0, other)
    fail(limit, '::ffff:192.0.2.7', 20)
    assert.equal(limit.waitSeconds('::ffff:192.0.2.8'), 0)
  })

  it('remembers a bounded number of addresses, those that failed last', () => {
    const limit = new FailureLimit(() => now)
    for (let i = 0; i < 3000; i++) fail(limit, `10.0.${i >> 8}.${i & 255}`, 20)
    assert.equal(limit.size, 1024)
    assert.equal(limit.waitSeconds('10.0.0.0'), 0)
    assert.equal(limit.waitSeconds(`10.0.${2999 >> 8}.${2999 & 255}`), 1)
  })
})
