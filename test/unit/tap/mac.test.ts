import assert from 'node:assert/strict'
import { it } from 'node:test'
import { madeUpMac } from '#src/tap/mac.js'

it('makes the same address of the same names, another of others, always of one station and locally administered', () => {
  assert.equal(madeUpMac('/run/a', 'host'), madeUpMac('/run/a', 'host'))
  const many = Array.from({ length: 64 }, (_, i) => madeUpMac('/run/a', `host${i}`))
  assert.equal(new Set(many).size, 64)
  for (const mac of many) assert.match(mac, /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/)
})
