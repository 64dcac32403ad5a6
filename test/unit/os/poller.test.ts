/** One table of behaviours for both pollers: the data plane must not know which one it has. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { linuxLayout } from '#src/os/layout.js'
import { closeDescriptor, nonBlocking, pipe, read, write } from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { createOs, type Os, PortableOs } from '#src/os/os.js'
import { MAX_READY, type Poller, READABLE, WRITABLE } from '#src/os/poller.js'
import { settle, type Waker, wake } from '#src/os/waker.js'
import { requirements } from '../../support/requires.js'

const kernels: [name: string, make: () => Os][] = [
  ['epoll', createOs],
  ['poll', () => new PortableOs(linuxLayout)],
]

for (const [name, make] of kernels) {
  describe(`${name} poller`, requirements({ platform: 'linux' }), () => {
    let poller: Poller
    let waker: Waker
    const wakers: Waker[] = []
    const newWaker = () => {
      const made = make().createWaker()
      wakers.push(made)
      return made
    }
    /** What one wait reports: token to events. */
    const reported = (timeoutMs = 0): Record<number, number> => {
      const count = poller.wait(timeoutMs)
      return Object.fromEntries(
        Array.from({ length: count }, (_, i) => [poller.tokens[i] as number, poller.events[i] as number]),
      )
    }

    beforeEach(() => {
      poller = make().createPoller()
      waker = newWaker()
    })
    afterEach(() => {
      poller.close()
      for (const each of wakers.splice(0)) each.close()
    })

    it('reports nothing while nothing is ready, after the time it was given', () => {
      poller.watch(waker.readFd, 7, READABLE)
      const began = performance.now()
      assert.deepEqual(reported(20), {})
      assert.ok(performance.now() - began >= 19)
    })

    it('reports a token while its descriptor is readable, again and again until it was drained', () => {
      poller.watch(waker.readFd, 7, READABLE)
      wake(waker.writeFd)
      assert.deepEqual(reported(1000), { 7: READABLE })
      assert.deepEqual(reported(), { 7: READABLE })
      settle(waker.readFd)
      assert.deepEqual(reported(), {})
    })

    it('reports what was asked for only', () => {
      poller.watch(waker.writeFd, 1, WRITABLE)
      assert.deepEqual(reported(), { 1: WRITABLE })
      wake(waker.writeFd)
      poller.watch(waker.readFd, 2, READABLE)
      assert.ok((reported()[2] ?? 0) === READABLE)
    })

    it('takes a new interest and a new token for a descriptor it watches', () => {
      poller.watch(waker.readFd, 1, READABLE)
      wake(waker.writeFd)
      poller.watch(waker.readFd, 0, READABLE)
      assert.deepEqual(reported(), { 0: READABLE })
      poller.watch(waker.readFd, 0, WRITABLE)
      assert.equal((reported()[0] ?? 0) & READABLE, 0)
    })

    it('reports nothing of a descriptor that is watched no longer, and can watch it again', () => {
      poller.watch(waker.readFd, 1, READABLE)
      wake(waker.writeFd)
      poller.watch(waker.readFd, 1, 0)
      poller.watch(waker.readFd, 1, 0)
      assert.deepEqual(reported(), {})
      poller.watch(waker.readFd, 3, READABLE)
      assert.deepEqual(reported(), { 3: READABLE })
    })

    it('keeps the others when one in the middle is let go', () => {
      const some = [waker, newWaker(), newWaker(), newWaker()]
      for (const [i, each] of some.entries()) {
        poller.watch(each.readFd, i, READABLE)
        wake(each.writeFd)
      }
      poller.watch((some[1] as Waker).readFd, 1, 0)
      assert.deepEqual(reported(), { 0: READABLE, 2: READABLE, 3: READABLE })
      poller.watch((some[3] as Waker).readFd, 9, READABLE)
      assert.deepEqual(reported(), { 0: READABLE, 2: READABLE, 9: READABLE })
    })

    it('reports a hang-up as both, so that the next call finds it', () => {
      const [reading, writing] = pipePair()
      poller.watch(reading, 5, READABLE)
      closeDescriptor(writing)
      assert.deepEqual(reported(), { 5: READABLE | WRITABLE })
      poller.watch(reading, 5, 0)
      closeDescriptor(reading)
    })

    it('reports every one of more ready descriptors than fit one report, within two waits', () => {
      const many = Array.from({ length: MAX_READY + 40 }, newWaker)
      for (const [i, each] of many.entries()) {
        poller.watch(each.readFd, i, READABLE)
        wake(each.writeFd)
      }
      const first = Object.keys(reported())
      assert.equal(first.length, MAX_READY)
      const both = new Set([...first, ...Object.keys(reported())])
      assert.equal(both.size, many.length)
    })
  })

  describe(`the waker beside ${name}`, requirements({ platform: 'linux' }), () => {
    it('stays awake however often it is woken, never blocks, and is silent after one settle', () => {
      const os = make()
      const waker = os.createWaker()
      const poller = os.createPoller()
      poller.watch(waker.readFd, 0, READABLE)
      for (let i = 0; i < 20_000; i++) wake(waker.writeFd)
      assert.equal(poller.wait(0), 1)
      settle(waker.readFd)
      assert.equal(poller.wait(0), 0)
      settle(waker.readFd)
      wake(waker.writeFd)
      assert.equal(poller.wait(0), 1)
      poller.close()
      waker.close()
    })
  })
}

describe('nonBlocking', () => {
  it('makes an empty descriptor answer at once', () => {
    const [reading, writing] = pipePair()
    const memory = new NativeMemory(8)
    assert.equal(read(reading, memory.address, 8), -1)
    assert.equal(write(writing, memory.address, 8), 8)
    assert.equal(read(reading, memory.address, 8), 8)
    closeDescriptor(reading)
    closeDescriptor(writing)
  })
})

function pipePair(): [number, number] {
  const pair = new NativeMemory(8)
  assert.equal(pipe(pair.address), 0)
  const [reading, writing] = [pair.words[0] as number, pair.words[1] as number]
  const { O_NONBLOCK } = createOs().layout.constants
  nonBlocking(reading, O_NONBLOCK)
  nonBlocking(writing, O_NONBLOCK)
  return [reading, writing]
}
