/** Clients with the read role ask for pages of a large filtering database, many at once, and leave before they come. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Api } from '../../support/api.js'
import { eventually } from '../../support/eventually.js'
import { ALICE, BROADCAST, frame } from '../../support/frames.js'
import { Lab } from '../../support/lab.js'
import { scale } from '../../support/scale.js'
import { StreamPeer } from '../../support/stream-peer.js'
import type { SwitchProcess } from '../../support/switch-process.js'

const ENTRIES = 100_000
const READERS = 64
const page = (offset: number) => `/v1/fdb?offset=${offset}&limit=1000`

describe('readers of a large filtering database', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let api: Api

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({
      switch: { fdb: { maxEntries: 131_072, maxEntriesPerPort: 131_072 } },
      transports: [{ name: 'vm', type: 'stream', listen: 'vm.sock' }],
    })
    api = new Api(running.url)
    const guest = await StreamPeer.connect({ path: lab.path('vm.sock') })
    lab.onClose(async () => guest.socket.destroy())
    const learn = Buffer.from(frame(BROADCAST, ALICE))
    await eventually(
      async () => {
        for (let first = 0; first < ENTRIES; first += 1000) {
          await guest.send(Array.from({ length: 1000 }, (_, i) => from(learn, first + i)))
        }
        return (await running.api.info()).fdb.entries
      },
      entries => entries >= ENTRIES,
      'the table is full',
      30_000,
    )
  })
  after(() => lab?.close())

  it('ask for page after page, and probes are answered as before', async context => {
    const idle = await probeTime()
    const stop = new AbortController()
    let pages = 0
    const readers = Array.from({ length: READERS }, async (_, i) => {
      for (let n = 0; !stop.signal.aborted; n++) {
        await readPage((i * 1009 + n * 7919) % ENTRIES)
        pages++
      }
    })
    const busy = await probeTime()
    stop.abort()
    await Promise.all(readers)
    context.diagnostic(JSON.stringify({ idle, busy, pages }))
    assert.ok(pages >= READERS, `${pages} pages were read meanwhile`)
    assert.ok(busy < idle * 8, `a probe took ${busy} ms, and ${idle} ms without readers`)
  })

  it('who send many requests at once on one connection, lose it and delay no one', async () => {
    const alone = await timeOf(readPage)
    const { hostname, port } = new URL(running.url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    socket.resume()
    await once(socket, 'connect')
    const closed = once(socket, 'close')
    socket.write(`GET ${page(0)} HTTP/1.1\r\nhost: localhost\r\n\r\n`.repeat(1000))
    const beside = await timeOf(readPage)
    await closed
    assert.ok(beside < alone * 100, `another reader waited ${beside} ms, and ${alone} ms alone`)
  })

  it('who leave before their page comes, leave no work behind', async () => {
    const alone = await timeOf(readPage)
    const { hostname, port } = new URL(running.url)
    for (let round = 0; round < 4; round++) {
      const sockets = Array.from({ length: 100 }, () => connect(Number(port), hostname).on('error', () => {}))
      await Promise.all(sockets.map(socket => once(socket, 'connect')))
      await Promise.all(
        sockets.map(
          socket =>
            new Promise<void>(resolve => {
              socket.write(`GET ${page(0)} HTTP/1.1\r\nhost: localhost\r\n\r\n`, () => resolve())
            }),
        ),
      )
      for (const socket of sockets) socket.destroy()
    }
    // Connections are taken in their order, so all of those have been taken by then.
    await fetch(`${running.url}/healthz`)
    const after = await timeOf(readPage)
    assert.ok(after < alone * 100, `the next reader waited ${after} ms, and ${alone} ms alone`)
  })

  async function readPage(offset = 0): Promise<void> {
    const answer = await fetch(running.url + page(offset))
    assert.equal(answer.status, 200)
    assert.match(await answer.text(), /"entries":\[\{/)
  }

  /** Milliseconds of a probe: the median of many, one after the other. */
  async function probeTime(): Promise<number> {
    const times: number[] = []
    for (let i = 0; i < 100 * scale; i++) {
      times.push(await timeOf(async () => assert.equal((await api.get('/healthz')).status, 200)))
    }
    return times.sort((a, b) => a - b)[times.length >> 1] as number
  }
})

function from(frame: Buffer, n: number): Buffer {
  const one = Buffer.from(frame)
  one.writeUInt32BE(n, 8)
  return one
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}
