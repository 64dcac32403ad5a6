import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Attention, Next, Patience } from '#src/vmnet/attention.js'

describe('patience', () => {
  it('doubles when it paid and halves when it did not, within its bounds', () => {
    const patience = new Patience(1, 8)
    const after = (act: 'paid' | 'wasted') => {
      patience[act]()
      return patience.ms
    }
    assert.equal(patience.ms, 1)
    assert.deepEqual([after('paid'), after('paid'), after('paid'), after('paid')], [2, 4, 8, 8])
    assert.deepEqual([after('wasted'), after('wasted'), after('wasted'), after('wasted')], [4, 2, 1, 1])
  })
})

describe('attention', () => {
  it('sleeps until there is something', () => assert.equal(new Attention().nothing(0), Next.sleep))

  it('after a frame spins for a moment, lingers for a while, sleeps', () => {
    const attention = new Attention()
    attention.found(100)
    assert.equal(attention.nothing(100.005), Next.spin)
    assert.equal(attention.nothing(100.02), Next.linger)
    assert.equal(attention.nothing(100.9), Next.linger)
    assert.equal(attention.nothing(101), Next.sleep)
  })

  it('spins longer where frames follow each other, but never longer than a tenth of a millisecond', () => {
    const attention = new Attention()
    let now = 0
    for (let i = 0; i < 10; i++) {
      attention.found(now)
      now += 0.001
      attention.nothing(now)
    }
    attention.found(now)
    assert.equal(attention.nothing(now + 0.09), Next.spin)
    assert.equal(attention.nothing(now + 0.11), Next.linger)
  })

  it('lingers longer where frames come within its time, and shorter again where they do not', () => {
    const attention = new Attention()
    let now = 0
    for (let i = 0; i < 10; i++) {
      attention.found(now)
      now += 0.5
      assert.equal(attention.nothing(now), Next.linger)
    }
    attention.found(now)
    assert.equal(attention.nothing(now + 63), Next.linger)
    assert.equal(attention.nothing(now + 64), Next.sleep)
    attention.found(now + 1000)
    assert.equal(attention.nothing(now + 1033), Next.sleep, 'half of it')
  })
})
