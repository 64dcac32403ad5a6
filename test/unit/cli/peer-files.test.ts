import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { peerFiles } from '#src/cli/peer-files.js'
import { descriptorsFor } from '#src/dataplane/descriptor-budget.js'
import { load } from '../config/load-text.js'

describe('the open files that peers may need', () => {
  it('are counted for each transport by what it opens for a peer', () => {
    const config = load(`
transports:
  - { name: a, type: unixgram, listen: a.sock, maxPeers: 100 }
  - { name: b, type: unixgram, listen: b.sock, peers: one }
  - { name: c, type: stream, listen: c.sock, maxPeers: 50 }
  - { name: d, type: websocket, listen: /ethernet, maxPeers: 40 }
  - { name: e, type: udp, listen: "127.0.0.1:7000", learnPeers: true, allowedSources: ["127.0.0.1"], maxPeers: 900 }
`)
    assert.deepEqual(peerFiles(config), [100, 1, 50, 120, 1])
    assert.equal(descriptorsFor(peerFiles(config)), 512 + 272 + 40)
  })
})
