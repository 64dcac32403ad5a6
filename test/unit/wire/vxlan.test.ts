import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { flowHash } from '#src/wire/flow-hash.js'
import { vniOf, vxlanHeader } from '#src/wire/vxlan.js'
import {
  ALICE,
  arpRequest,
  BOB,
  bytesOf,
  CAROL,
  frame,
  ipv4Echo,
  ipv6NeighbourSolicitation,
  macOf,
  putMac,
} from '../../support/frames.js'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('the VXLAN header', () => {
  it('has flag I and the VNI, and nothing else set', () => {
    assert.equal(hex(vxlanHeader(42)), '0800000000002a00')
    assert.equal(hex(vxlanHeader(0)), '0800000000000000')
    assert.equal(hex(vxlanHeader(0xffffff)), '08000000ffffff00')
    assert.equal(hex(vxlanHeader(0x123456)), '0800000012345600')
  })

  it('is read anywhere in a buffer', () => {
    for (const vni of [0, 1, 42, 0x8000, 0x800000, 0xffffff]) {
      assert.equal(vniOf(Uint8Array.of(9, 9, 9, ...vxlanHeader(vni)), 3), vni)
    }
  })

  it('is refused with other flags or a reserved bit', () => {
    for (const wrong of [
      '0000000000002a00', // without I: no VNI
      '0c00000000002a00', // GPE: what follows is not Ethernet
      '8800000000002a00', // GBP
      '0801000000002a00',
      '0800010000002a00',
      '0800000100002a00',
      '0800000000002a01',
    ]) {
      assert.equal(vniOf(bytesOf(wrong), 0), -1, wrong)
    }
  })
})

describe('the hash of a flow', () => {
  const of = (bytes: Uint8Array) => flowHash(bytes, 0, bytes.length)
  const udp = (sourcePort: number, flags = 0x40) => {
    const bytes =
      bytesOf(`02000000000b 02000000000a 0800 45000020 0001 ${flags.toString(16).padStart(2, '0')}00 40 11 0000
      0a00000a 0a00000b 0000 1389 000c 0000 01020304`)
    new DataView(bytes.buffer).setUint16(34, sourcePort)
    return bytes
  }

  it('is the same for all frames of a flow, whatever they carry', () => {
    const other = udp(7)
    other.set([9, 9, 9, 9], 42)
    assert.equal(of(other), of(udp(7)))
    const behind = new Uint8Array(100)
    behind.set(udp(7), 50)
    assert.equal(flowHash(behind, 50, udp(7).length), of(udp(7)))
  })

  it('is another for other ports, but not for fragments, which do not all have them', () => {
    assert.notEqual(of(udp(7)), of(udp(8)))
    assert.equal(of(udp(7, 0x20)), of(udp(8, 0x20)))
  })

  it('is another for other stations, of whatever protocol', () => {
    const hashes = [arpRequest, ipv4Echo, ipv6NeighbourSolicitation, frame(BOB, ALICE), frame(CAROL, ALICE)].map(of)
    assert.equal(new Set(hashes).size, hashes.length)
  })

  it('looks behind tags', () => {
    const tagged = (port: number) => {
      const plain = udp(port)
      return Uint8Array.from([...plain.subarray(0, 12), 0x81, 0x00, 0x00, 0x2a, ...plain.subarray(12)])
    }
    assert.notEqual(of(tagged(7)), of(tagged(8)))
  })

  it('spreads stations evenly enough, and is never negative', () => {
    const buckets = new Array<number>(8).fill(0)
    const bytes = frame(BOB, ALICE)
    for (let i = 0; i < 8000; i++) {
      putMac(bytes, 6, macOf('02:00:00:01:00:00') + i)
      const hash = of(bytes)
      assert.ok(hash >= 0)
      buckets[hash % 8]++
    }
    assert.ok(Math.min(...buckets) > 800 && Math.max(...buckets) < 1200, String(buckets))
  })

  it('reads nothing beyond a frame that is cut off', () => {
    for (let length = 0; length < 60; length++) {
      const cut = new Uint8Array(200)
      cut.set(udp(7).subarray(0, length))
      const dirty = cut.slice().fill(0xff, length)
      if (length >= 14) assert.equal(flowHash(cut, 0, length), flowHash(dirty, 0, length), `length ${length}`)
    }
  })
})
