/** A thread that changes the filtering database as fast as it can, and readers that must never see half a change. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Fdb } from '#src/switch/fdb.js'
import { FdbReader } from '#src/switch/fdb-reader.js'

const maxEntries = 512
const maxPorts = 16
const options = { maxEntries, maxPorts, ageingMs: 1000, seed: 3 }

/** The writer enters address n on port n % 16 only, with n repeated in the high half, so that a mixture of two shows. */
const isWhole = ({ mac, port }: { mac: number; port: number }) => {
  const n = mac % 2 ** 32
  return Math.floor(mac / 2 ** 32) === 0x0200 + (n % 251) && port === n % maxPorts
}

describe('a snapshot taken while another thread writes', () => {
  it('holds whole entries only, each address once, and is exact when the writer rests', async () => {
    const memory = new SharedArrayBuffer(Fdb.bytesFor(maxEntries))
    const control = new Int32Array(new SharedArrayBuffer(8))
    const writer = new Worker(fileURLToPath(new URL('../../support/fdb-writer.js', import.meta.url)), {
      workerData: { options: { ...options, memory }, control },
    })
    const exited = once(writer, 'exit')
    try {
      await once(writer, 'message')
      const reader = new FdbReader(memory)
      let seen = 0
      for (let i = 0; i < 300; i++) {
        const entries = reader.snapshot()
        assert.ok(entries.every(isWhole), 'a mixture of two entries')
        assert.equal(new Set(entries.map(entry => entry.mac)).size, entries.length, 'an address twice')
        seen += entries.length
      }
      assert.ok(seen > 0)
      Atomics.store(control, 0, 1)
      const [{ changes, addresses }] = (await once(writer, 'message')) as [{ changes: number; addresses: number[] }]
      assert.ok(changes > 1000, `the writer made ${changes} changes meanwhile`)
      const macs = reader.snapshot().map(entry => entry.mac % 2 ** 32)
      assert.deepEqual(
        macs.sort((a, b) => a - b),
        addresses.sort((a, b) => a - b),
      )
    } finally {
      Atomics.store(control, 0, 1)
      await exited
    }
  })

  it('survives the writer being killed, and the table can be taken over', async () => {
    for (let life = 0; life < 5; life++) {
      const memory = new SharedArrayBuffer(Fdb.bytesFor(maxEntries))
      const control = new Int32Array(new SharedArrayBuffer(8))
      const writer = new Worker(fileURLToPath(new URL('../../support/fdb-writer.js', import.meta.url)), {
        workerData: { options: { ...options, memory }, control },
      })
      await once(writer, 'message')
      await writer.terminate()
      assert.ok(new FdbReader(memory).snapshot().every(isWhole))
      const heir = new Fdb({ ...options, memory })
      const entries = new FdbReader(memory).snapshot()
      assert.ok(entries.length > 0)
      assert.ok(entries.every(isWhole))
      assert.equal(entries.length, heir.entries)
      for (const { mac, port } of entries) assert.equal(heir.lookup(Math.floor(mac / 2 ** 32), mac | 0, 0), port)
    }
  })
})
