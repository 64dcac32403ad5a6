import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BlockCounter } from '#src/cli/client/capture-sink.js'
import { interfaceBlock, sectionBlock } from '#src/control/pcapng.js'

const blocks = [sectionBlock('test'), interfaceBlock('vms:1', 'unixgram', 0), interfaceBlock('vms:22', 'unixgram', 0)]
const bytes = Buffer.concat(blocks)
const ends = blocks.map((_, i) => blocks.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0))

describe('the blocks of a capture', () => {
  it('are counted however the stream is cut into pieces', () => {
    for (const size of [1, 3, 7, 8, 9, 64, bytes.length]) {
      const counter = new BlockCounter()
      for (let at = 0; at < bytes.length; at += size) {
        counter.add(bytes.subarray(at, at + size))
        const seen = Math.min(at + size, bytes.length)
        assert.equal(counter.whole, ends.findLast(end => end <= seen) ?? 0, `pieces of ${size}, ${seen} seen`)
      }
    }
  })

  it('end the count of a stream that is no pcapng, whatever lengths it has', () => {
    const counter = new BlockCounter()
    counter.add(Buffer.alloc(1000))
    assert.ok(counter.whole <= 1000)
  })
})
