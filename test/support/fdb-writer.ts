/**
 * Thread that adds and removes addresses at random until told to stop. It speaks when it has begun, and at the end says
 * what it left in the table.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { Fdb, type FdbOptions } from '#src/switch/fdb.js'

/** Against running for ever when nobody tells it to stop: some ten seconds. */
const MOST_CHANGES = 5e7

const { options, control } = workerData as { options: FdbOptions; control: Int32Array }
const fdb = new Fdb(options)
const present = new Set<number>()
let state = 1
let changes = 0
while (changes < MOST_CHANGES && Atomics.load(control, 0) === 0) {
  for (let i = 0; i < 1000; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    const n = (state >>> 16) % (options.maxEntries * 2)
    const high = 0x0200 + (n % 251)
    if (present.has(n)) {
      fdb.remove(high, n)
      present.delete(n)
    } else if (fdb.learn(high, n, n % options.maxPorts, options.maxEntries, 0) > 0) {
      present.add(n)
    }
  }
  if (changes === 0) parentPort?.postMessage('begun')
  changes += 1000
}
parentPort?.postMessage({ changes, addresses: [...present] })
