import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PacketVector } from '#src/vmnet/packet-vector.js'
import { batchLimit } from '#src/vmnet/parameters.js'
import { viewOf } from '../../support/memory-at.js'

/** The bytes themselves. */
const bytesAt = (address: number, length: number) => Buffer.from(viewOf(address, length).buffer)

const u64 = (address: number) => Number(bytesAt(address, 8).readBigUInt64LE())
const u32 = (address: number) => bytesAt(address, 4).readUInt32LE()

describe('a vector of packets', () => {
  it('is struct vmpktdesc, 24 bytes each, with one struct iovec', () => {
    const vector = new PacketVector(3)
    vector.set(2, 0x1234_5678_9abc, 1514)
    const packet = vector.address + 2 * 24
    assert.deepEqual([u64(packet), u32(packet + 16), u32(packet + 20)], [1514, 1, 0])
    const iovec = u64(packet + 8)
    assert.deepEqual([u64(iovec), u64(iovec + 8)], [0x1234_5678_9abc, 1514])
    assert.equal(u64(vector.address + 24 + 8), iovec - 16)
  })

  it('says everything anew for each call, whatever the call before wrote there', () => {
    const vector = new PacketVector(1)
    vector.set(0, 1, 1514)
    bytesAt(vector.address, 24).fill(0xff, 0, 8).fill(0xff, 20, 24)
    vector.set(0, 1, 1514)
    assert.deepEqual([u64(vector.address), u32(vector.address + 20)], [1514, 0])
    assert.equal(vector.length(0), 1514)
  })

  it('has a count that goes in and comes out', () => {
    const vector = new PacketVector(1)
    vector.count = 200
    assert.equal(u32(vector.countAddress), 200)
    bytesAt(vector.countAddress, 4).writeInt32LE(7)
    assert.equal(vector.count, 7)
  })
})

describe('the limit of a batch', () => {
  it('is what vmnet says, and 256 KiB of frames of the greatest size', () => {
    assert.equal(batchLimit(256, 1014), 256)
    assert.equal(batchLimit(256, 1514), 173)
    assert.equal(batchLimit(200, 1514), 173)
    assert.equal(batchLimit(256, 65_550), 3)
    assert.equal(batchLimit(1, 1514), 1)
    assert.equal(batchLimit(256, 1_000_000), 1)
  })
})
