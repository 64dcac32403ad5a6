import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  DESTINATION,
  formatMac,
  highOf,
  isBroadcast,
  isGroup,
  isReserved,
  isStation,
  isZero,
  joinMac,
  lowOf,
  macHigh,
  macLow,
  parseMac,
  SOURCE,
} from '#src/wire/ethernet.js'
import { arpReply, bpdu, macOf } from '../../support/frames.js'

const is = (rule: (high: number, low: number) => boolean, mac: string) => rule(highOf(macOf(mac)), lowOf(macOf(mac)))

describe('a MAC address', () => {
  it('is read from text in either case, with colons or hyphens', () => {
    assert.equal(parseMac('02:00:00:00:00:01'), 0x020000000001)
    assert.equal(parseMac('FF-FF-FF-FF-FF-FF'), 0xffffffffffff)
    assert.equal(parseMac('de:ad:BE:ef:00:7f'), 0xdeadbeef007f)
  })

  it('is refused when it is written otherwise', () => {
    const bad = ['', '02:00:00:00:00', '02:00:00:00:00:01:02', '2:0:0:0:0:1', '02:00:00-00:00:01', '0200.0000.0001']
    for (const text of [...bad, '020000000001', '02:00:00:00:00:0g', ' 02:00:00:00:00:01', '02:00:00:00:00:01\n']) {
      assert.equal(parseMac(text), undefined, JSON.stringify(text))
    }
  })

  it('is written in lower case with colons, without the VID that may lie above', () => {
    assert.equal(formatMac(0x0a02, 0xdeadbeef | 0), '0a:02:de:ad:be:ef')
    assert.equal(formatMac((42 << 16) | 0x0200, 1), '02:00:00:00:00:01')
  })

  it('survives being taken apart and put together', () => {
    for (const mac of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x0200deadbeef, 0xffffffffffff]) {
      assert.equal(joinMac(highOf(mac), lowOf(mac)), mac)
      assert.equal(parseMac(formatMac(highOf(mac), lowOf(mac))), mac)
    }
  })

  it('is found in a frame at its offset', () => {
    const shifted = Uint8Array.from([1, 2, 3, ...arpReply])
    assert.equal(formatMac(macHigh(shifted, 3 + DESTINATION), macLow(shifted, 3 + DESTINATION)), '02:00:00:00:00:0a')
    assert.equal(formatMac(macHigh(shifted, 3 + SOURCE), macLow(shifted, 3 + SOURCE)), '02:00:00:00:00:0b')
    assert.equal(macLow(bpdu, DESTINATION), 0xc2000000 | 0, 'signed')
  })

  it('is a group when the lowest bit of its first octet is set', () => {
    for (const mac of ['01:00:5e:00:00:01', '33:33:00:00:00:01', '03:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff']) {
      assert.ok(is(isGroup, mac), mac)
      assert.ok(!is(isStation, mac), mac)
    }
    for (const mac of ['02:00:00:00:00:01', '00:01:00:00:00:00', 'fe:ff:ff:ff:ff:ff']) {
      assert.ok(!is(isGroup, mac), mac)
      assert.ok(is(isStation, mac), mac)
    }
  })

  it('is nobody when all bits are zero', () => {
    assert.ok(is(isZero, '00:00:00:00:00:00'))
    assert.ok(!is(isStation, '00:00:00:00:00:00'))
    for (const mac of ['00:00:00:00:00:01', '00:01:00:00:00:00', '80:00:00:00:00:00', '00:00:80:00:00:00']) {
      assert.ok(!is(isZero, mac), mac)
    }
  })

  it('is broadcast when all bits are one', () => {
    assert.ok(is(isBroadcast, 'ff:ff:ff:ff:ff:ff'))
    for (const mac of ['ff:ff:ff:ff:ff:fe', 'ff:fe:ff:ff:ff:ff', '7f:ff:ff:ff:ff:ff']) {
      assert.ok(!is(isBroadcast, mac), mac)
    }
  })

  it('is reserved from 01:80:c2:00:00:00 to 0f and nowhere else', () => {
    for (let last = 0; last < 256; last++) {
      assert.equal(isReserved(0x0180, 0xc2000000 | last), last < 16, `last octet ${last}`)
    }
    for (const mac of ['01:80:c3:00:00:00', '01:81:c2:00:00:00', '01:80:c2:00:01:00', '01:80:42:00:00:00']) {
      assert.ok(!is(isReserved, mac), mac)
    }
  })
})
