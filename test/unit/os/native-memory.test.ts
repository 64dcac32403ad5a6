import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NativeMemory } from '#src/os/native-memory.js'
import { viewOf } from '../../support/memory-at.js'

describe('NativeMemory', () => {
  it('is what the kernel finds at its address', () => {
    const memory = new NativeMemory(24)
    memory.words[5] = 0x11223344
    assert.equal(viewOf(memory.address, 24).getUint32(20, true), 0x11223344)
    viewOf(memory.address, 24).setUint8(3, 99)
    assert.equal(memory.bytes[3], 99)
  })

  it('is rounded up to whole words of eight bytes', () => {
    assert.equal(new NativeMemory(1).bytes.length, 8)
    assert.equal(new NativeMemory(16).bytes.length, 16)
  })

  for (const address of [
    0, 0x1234, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x7fff_dead_beef, 0xffff_ffff_f000,
  ]) {
    it(`writes the pointer 0x${address.toString(16)} as the kernel reads it`, () => {
      const memory = new NativeMemory(16)
      memory.writePointer(8, address)
      assert.equal(viewOf(memory.address, 16).getBigUint64(8, true), BigInt(address))
      assert.equal(memory.readPointer(8), address)
      assert.equal(memory.readPointer(0), 0)
    })
  }
})
