/** A thread that changes the filtering database as fast as it can, and readers that must never see half a change. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it, mock } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Fdb } from '#src/switch/fdb.js'
import { FdbReader } from '#src/switch/fdb-reader.js'

/** Few, so that each slot changes all the time. */
const maxEntries = 32
const maxPorts = 16
const SNAPSHOTS = 5000
const options = { maxEntries, maxPorts, ageingMs: 1000, seed: 3 }

/**
 * The writer enters address n on port n % 16 only, with n repeated in the high half, so that a mixture of two shows.
 */
const isWhole = ({ mac, port }: { mac: number; port: number }) => {
  const n = mac % 2 ** 32
  return Math.floor(mac / 2 ** 32) === 0x0200 + (n % 251) && port === n % maxPorts
}

/** The address, on its port, enters; `isWhole` knows it. */
const enter = (fdb: Fdb, n: number) => fdb.learn(0x0200 + (n % 251), n, n % maxPorts, maxEntries, 0)
const leave = (fdb: Fdb, n: number) => fdb.remove(0x0200 + (n % 251), n)

/** Takes a snapshot and calls `meanwhile` before each of the reader's loads, as if the writer ran just then. */
function interleaved(memory: SharedArrayBuffer, meanwhile: (load: number) => void) {
  const reader = new FdbReader(memory)
  const load = Atomics.load
  let loads = 0
  const mocked = mock.method(Atomics, 'load', (cells: Int32Array, index: number) => {
    meanwhile(loads++)
    return load(cells, index)
  })
  try {
    return { entries: reader.snapshot(), loads }
  } finally {
    mocked.mock.restore()
  }
}

describe('a snapshot into which the writer cuts', () => {
  /** A table of one entry, and two addresses that belong in the same slot. */
  function contested() {
    const fdb = new Fdb({ ...options, maxEntries: 1 })
    const cells = new Int32Array(fdb.memory)
    const slotOf = (n: number) => {
      enter(fdb, n)
      const at = cells.lastIndexOf(n)
      leave(fdb, n)
      return at
    }
    const first = 101
    let second = 102
    while (slotOf(second) !== slotOf(first)) second++
    enter(fdb, first)
    let current = first
    const swap = () => {
      leave(fdb, current)
      current = current === first ? second : first
      enter(fdb, current)
    }
    return { fdb, swap }
  }

  it('holds whole entries wherever the cut is', () => {
    const { fdb, swap } = contested()
    const { loads } = interleaved(fdb.memory, () => {})
    for (let cut = 0; cut < loads; cut++) {
      const { entries } = interleaved(fdb.memory, load => {
        if (load === cut) swap()
      })
      assert.ok(entries.length > 0, `nothing seen, cut at load ${cut}`)
      assert.ok(entries.every(isWhole), `a mixture, cut at load ${cut}`)
    }
  })

  it('is taken again when the table changed, and sees what came into a part it had read', () => {
    const fdb = new Fdb(options)
    const cells = new Int32Array(fdb.memory)
    let early = 2000
    for (const half = cells.length / 2; ; early++) {
      enter(fdb, early)
      const at = cells.indexOf(early)
      leave(fdb, early)
      if (at < half) break
    }
    enter(fdb, 1)
    const { loads } = interleaved(fdb.memory, () => {})
    const { entries } = interleaved(fdb.memory, load => {
      if (load === loads - 2) enter(fdb, early)
    })
    assert.equal(entries.length, 2)
  })

  it('ends and holds whole entries however often the writer cuts', () => {
    const { fdb, swap } = contested()
    for (let every = 1; every < 40; every++) {
      for (let phase = 0; phase < every; phase++) {
        const { entries, loads } = interleaved(fdb.memory, load => {
          if (load % every === phase) swap()
        })
        assert.ok(entries.every(isWhole), `a mixture, every ${every} loads, phase ${phase}`)
        assert.ok(loads < 5000, `${loads} loads`)
      }
    }
  })
})

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
      for (let i = 0; i < SNAPSHOTS; i++) {
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
