import assert from 'node:assert/strict'
import { it } from 'node:test'
import { effectiveConfig } from '#src/config/effective.js'
import { load } from './load-text.js'

const everything = `
switch: { name: lab, maxFrameSize: 9018, fdb: { maxEntries: 100 } }
transports:
  - { name: a, type: unixgram, listen: a.sock, permissions: "660", owner: alice, group: staff, maxPeers: 3 }
  - { name: b, type: unixgram, listen: b.sock, peers: one, port: { fdb: { static: [02-00-00-00-00-0A] } } }
  - { name: c, type: unixgram, connect: { local: c.sock, remote: /x }, handshake: vfkit, port: { isolated: true } }
  - { name: d, type: unixgram, connect: { local: d.sock, remote: /y } }
http: false
`

it('the effective configuration, loaded again, is the same configuration', () => {
  const config = load(everything)
  assert.deepEqual(load(JSON.stringify(effectiveConfig(config))), config)
})
