import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Hello } from '#src/transports/websocket/hello.js'
import { type LinkRole, SwitchLinks } from '#src/transports/websocket/switch-links.js'

const hello = (instance: string, link = ''): Hello => ({
  ...{ instance, link, nonce: '', proof: '' },
  ...{ name: instance, maxFrameSize: 1518 },
})

/** A switch, and what it was told to end. */
function makeSwitch(instance: string) {
  const clock = { now: 0 }
  const links = new SwitchLinks({ instance, prove: () => '' }, () => clock.now)
  const ended: string[] = []
  const claim = (from: Hello, role: LinkRole, label = role as string, dialledAt = 0) =>
    links.claim(from, role, () => ended.push(label), dialledAt)
  return { clock, links, ended, claim }
}

describe('SwitchLinks', () => {
  it('knows itself', () => {
    const { claim } = makeSwitch('switch-a')
    assert.match(String(claim(hello('switch-a'), 'served')), /this switch itself/)
    assert.match(String(claim(hello('switch-a'), 'dialled')), /this switch itself/)
  })

  it('draws who it is', () => {
    assert.notEqual(new SwitchLinks().instance, new SwitchLinks().instance)
  })

  it('has links to many switches, one for each, and a place again when it is released', () => {
    const { claim, ended } = makeSwitch('switch-a')
    const first = claim(hello('switch-b', 'link-one'), 'served')
    assert.ok(typeof first !== 'string')
    assert.ok(typeof claim(hello('switch-c', 'link-one'), 'served') !== 'string')
    assert.match(String(claim(hello('switch-b', 'link-two'), 'served')), /"switch-b" already/)
    assert.deepEqual(ended, [])
    first.release()
    first.release()
    assert.ok(typeof claim(hello('switch-b', 'link-two'), 'served') !== 'string')
  })

  it('refuses a second dialled link', () => {
    const { claim } = makeSwitch('switch-a')
    claim(hello('switch-b'), 'dialled')
    assert.match(String(claim(hello('switch-b'), 'dialled')), /already/)
  })

  it('lets the same dialler that comes again take the place of its predecessor', () => {
    const { claim, ended } = makeSwitch('switch-a')
    const first = claim(hello('switch-b', 'link-one'), 'served', 'first')
    assert.ok(typeof claim(hello('switch-b', 'link-one'), 'served', 'second') !== 'string')
    assert.deepEqual(ended, ['first'])
    assert.ok(typeof first !== 'string')
    first.release()
    assert.equal(typeof claim(hello('switch-b', 'link-two'), 'served'), 'string', 'the second still has the place')
  })

  it('leaves one of two calls that cross, the same at both ends', () => {
    const a = makeSwitch('switch-a')
    const b = makeSwitch('switch-b')
    // Each has accepted the call of the other before its own is answered.
    a.claim(hello('switch-b', 'from-b'), 'served', 'call of b')
    b.claim(hello('switch-a', 'from-a'), 'served', 'call of a')
    const ofA = a.claim(hello('switch-b'), 'dialled', 'call of a')
    const ofB = b.claim(hello('switch-a'), 'dialled', 'call of b')
    assert.ok(typeof ofA !== 'string', 'the call of the lower instance stands')
    assert.equal(typeof ofB, 'string')
    assert.deepEqual([a.ended, b.ended], [['call of b'], []])
  })

  it('leaves one of two calls that cross, also when each end has accepted its own first', () => {
    const a = makeSwitch('switch-a')
    const b = makeSwitch('switch-b')
    a.claim(hello('switch-b'), 'dialled', 'call of a')
    b.claim(hello('switch-a'), 'dialled', 'call of b')
    assert.equal(typeof a.claim(hello('switch-b', 'from-b'), 'served', 'call of b'), 'string')
    assert.ok(typeof b.claim(hello('switch-a', 'from-a'), 'served', 'call of a') !== 'string')
    assert.deepEqual([a.ended, b.ended], [[], ['call of b']])
  })

  it('leaves a link that stands to a call that comes later', () => {
    const { clock, claim, ended } = makeSwitch('switch-a')
    claim(hello('switch-b', 'from-b'), 'served')
    clock.now = 10
    assert.equal(typeof claim(hello('switch-b'), 'dialled', 'later', 5), 'string')
    assert.deepEqual(ended, [])
  })
})
