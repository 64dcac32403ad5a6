import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import koffi from 'koffi'
import { BLOCK_IS_GLOBAL, blocksInUse, blocksMade, createBlock, createNativeBlock } from '#src/vmnet/blocks.js'
import { viewOf } from '../../support/memory-at.js'

/** The bytes themselves. */
const bytesAt = (address: number, length: number) => Buffer.from(viewOf(address, length).buffer)

/** Any address will do where nobody looks at the class. */
const CLASS = 0x7f00_1234_5678

const fields = (address: number) => {
  const literal = bytesAt(address, 32)
  const descriptor = Number(literal.readBigUInt64LE(24))
  const tail = bytesAt(descriptor, 16)
  return {
    isa: Number(literal.readBigUInt64LE(0)),
    flags: literal.readInt32LE(8),
    reserved: literal.readInt32LE(12),
    invoke: Number(literal.readBigUInt64LE(16)),
    descriptor: [Number(tail.readBigUInt64LE(0)), Number(tail.readBigUInt64LE(8))],
  }
}

describe('a block made by hand', () => {
  it('is laid out as clang does it: global, 32 bytes, no helpers', () => {
    const block = createBlock(CLASS, 'u32', () => {})
    const { isa, flags, reserved, invoke, descriptor } = fields(block.address)
    assert.deepEqual(
      { isa, flags, reserved, descriptor },
      { isa: CLASS, flags: BLOCK_IS_GLOBAL, reserved: 0, descriptor: [0, 32] },
    )
    assert.ok(invoke > 0)
    block.release()
  })

  it('hands its arguments to its own handler', () => {
    const calls: unknown[] = []
    const shapes = [
      ['u32-object', ['uint32_t', 'uintptr_t'], [1000, 77]],
      ['u32', ['uint32_t'], [1001]],
      ['object', ['uintptr_t'], [78]],
    ] as const
    for (const [shape, types, values] of shapes) {
      const blocks = [0, 1].map(i =>
        createBlock(CLASS, shape, (first, second) => calls.push([shape, i, first, second])),
      )
      for (const block of blocks) {
        const { invoke } = fields(block.address)
        koffi.call(BigInt(invoke), koffi.proto('void', ['uintptr_t', ...types]), block.address, ...values)
        block.release()
      }
    }
    assert.deepEqual(calls, [
      ['u32-object', 0, 1000, 77],
      ['u32-object', 1, 1000, 77],
      ['u32', 0, 1001, 0],
      ['u32', 1, 1001, 0],
      ['object', 0, 0, 78],
      ['object', 1, 0, 78],
    ])
  })

  it('is deaf once it was released, and its memory is used again', () => {
    let heard = 0
    const block = createBlock(CLASS, 'u32', () => heard++)
    const { invoke } = fields(block.address)
    block.release()
    block.release()
    koffi.call(BigInt(invoke), koffi.proto('void', ['uintptr_t', 'uint32_t']), block.address, 1)
    assert.equal(heard, 0)
    const made = blocksMade()
    const next = createNativeBlock(CLASS, 4096)
    assert.deepEqual([next.address, blocksMade(), fields(next.address).invoke], [block.address, made, 4096])
    next.release()
    assert.equal(blocksInUse(), 0)
  })
})
