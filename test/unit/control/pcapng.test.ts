import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  Direction,
  interfaceBlock,
  packetBlock,
  quietBlock,
  sectionBlock,
  statisticsBlock,
} from '#src/control/pcapng.js'

const blocks = {
  section: sectionBlock('tapswitch 1'),
  interface: interfaceBlock('vms:1', 'unixgram', 96),
  packet: packetBlock({
    interfaceId: 3,
    time: 0x1_0000_0002n,
    direction: Direction.out,
    originalLength: 60,
    bytes: Uint8Array.of(1, 2, 3, 4, 5),
    comment: 'dropped: queue-full',
  }),
  statistics: statisticsBlock({ interfaceId: 3, start: 1n, end: 2n, received: 10, accepted: 7, dropped: 4 }),
  quiet: quietBlock(),
}

describe('a pcapng block', () => {
  for (const [name, bytes] of Object.entries(blocks)) {
    it(`says its length before and after, a multiple of four: ${name}`, () => {
      assert.deepEqual([bytes.readUInt32LE(4), bytes.readUInt32LE(bytes.length - 4)], [bytes.length, bytes.length])
      assert.equal(bytes.length % 4, 0)
    })
  }
})

describe('a section', () => {
  it('begins the file and says its byte order and version', () => {
    assert.deepEqual([blocks.section.readUInt32LE(0), blocks.section.readUInt32LE(8)], [0x0a0d0d0a, 0x1a2b3c4d])
    assert.deepEqual([blocks.section.readUInt16LE(12), blocks.section.readUInt16LE(14)], [1, 0])
  })
})

describe('an interface', () => {
  it('is Ethernet, with a name and times in nanoseconds', () => {
    assert.deepEqual([blocks.interface.readUInt16LE(8), blocks.interface.readUInt32LE(12)], [1, 96])
    assert.ok(blocks.interface.includes(Buffer.concat([Buffer.of(2, 0, 5, 0), Buffer.from('vms:1')])))
    assert.ok(blocks.interface.includes(Buffer.of(9, 0, 1, 0, 9)))
  })
})

describe('a packet', () => {
  const { packet } = blocks

  it('has the upper half of its time first', () => {
    assert.deepEqual([packet.readUInt32LE(12), packet.readUInt32LE(16)], [1, 2])
  })

  it('has both lengths, and its bytes', () => {
    assert.deepEqual([packet.readUInt32LE(20), packet.readUInt32LE(24)], [5, 60])
    assert.deepEqual([...packet.subarray(28, 36)], [1, 2, 3, 4, 5, 0, 0, 0])
  })

  it('says its direction and why it was dropped', () => {
    assert.ok(packet.includes(Buffer.of(2, 0, 4, 0, 2, 0, 0, 0)))
    assert.ok(packet.includes('dropped: queue-full'))
  })
})
