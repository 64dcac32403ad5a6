import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { linuxLayout } from '#src/os/layout.js'
import { closeDescriptor, nonBlocking, pipe, write } from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { ReadRing } from '#src/os/read-ring.js'
import { requirements } from '../../support/requires.js'

const EAGAIN = 11
const CAPACITY = 8
const SIZE = 16

describe('a ring of reads', requirements({ platform: 'linux' }), () => {
  /** A non-blocking pipe: each read takes what is left of it, up to its size. */
  function withPipe(
    test: (ring: ReadRing, readFd: number, put: (text: string) => void, text: (i: number) => string) => void,
  ) {
    return () => {
      const ring = ReadRing.open(CAPACITY) ?? assert.fail('no io_uring here')
      const pair = new NativeMemory(8)
      pipe(pair.address)
      const [readFd, writeFd] = pair.words as unknown as [number, number]
      nonBlocking(readFd, linuxLayout.constants.O_NONBLOCK)
      const room = new NativeMemory(CAPACITY * SIZE)
      const source = new NativeMemory(1024)
      for (let i = 0; i < CAPACITY; i++) ring.setBuffer(i, room.address + i * SIZE, SIZE)
      const put = (text: string) => {
        source.bytes.set(Buffer.from(text))
        write(writeFd, source.address, text.length)
      }
      const text = (i: number) =>
        Buffer.from(room.bytes.subarray(i * SIZE, i * SIZE + (ring.results[i] ?? 0))).toString()
      try {
        test(ring, readFd, put, text)
      } finally {
        closeDescriptor(readFd)
        closeDescriptor(writeFd)
        ring.close()
      }
    }
  }

  it(
    'reads in order, each into its own buffer, and says what found nothing',
    withPipe((ring, readFd, put, text) => {
      put('a'.repeat(16) + 'b'.repeat(16) + 'ccc')
      assert.ok(ring.read(readFd, 5))
      assert.deepEqual([...ring.results.subarray(0, 5)], [16, 16, 3, -EAGAIN, -EAGAIN])
      assert.deepEqual([text(0), text(1), text(2)], ['a'.repeat(16), 'b'.repeat(16), 'ccc'])
      // What found nothing does not stay, and takes nothing later.
      put('ddd')
      assert.ok(ring.read(readFd, 1))
      assert.equal(ring.results[0], 3)
    }),
  )

  it(
    'goes round and round',
    withPipe((ring, readFd, put, text) => {
      const room = new NativeMemory(CAPACITY * SIZE)
      for (let turn = 0; turn < 1000; turn++) {
        const count = (turn % CAPACITY) + 1
        for (let i = 0; i < count; i++) ring.setBuffer(i, room.address + i * SIZE, SIZE)
        for (let i = 0; i < count; i++) put(String(turn * 10 + i).padStart(SIZE, '0'))
        assert.ok(ring.read(readFd, count))
        for (let i = 0; i < count; i++) {
          const got = Buffer.from(room.bytes.subarray(i * SIZE, (i + 1) * SIZE)).toString()
          assert.equal(Number(got), turn * 10 + i)
        }
      }
      assert.equal(text(0).length, SIZE)
    }),
  )

  it(
    'tells an error for each read of a descriptor that is none',
    withPipe(ring => {
      assert.ok(ring.read(1_000_000, 2))
      assert.deepEqual([...ring.results.subarray(0, 2)], [-9, -9])
    }),
  )
})
