import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { sameNames } from '#src/transports/unixgram/same-names.js'
import { RawPeer } from '../../support/raw-peer.js'
import { requirements } from '../../support/requires.js'

describe('paths that two datagram sockets are bound to', requirements({ platform: 'linux' }), () => {
  it('are found while both sockets are open', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tapswitch '))
    const [path, other] = [join(folder, 'vm 1.sock'), join(folder, 'vm2.sock')]
    const peers = [RawPeer.bind(path), RawPeer.bind(other)]
    try {
      assert.equal((await sameNames()).has(path), false)
      unlinkSync(path)
      peers.push(RawPeer.bind(path))
      const names = await sameNames()
      assert.deepEqual([names.has(path), names.has(other)], [true, false])
      peers[0]?.close()
      assert.equal((await sameNames()).has(path), false)
    } finally {
      for (const peer of peers) peer.close()
      rmSync(folder, { recursive: true })
    }
  })
})
