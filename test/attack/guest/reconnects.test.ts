/**
 * A guest connects, says who it is, and goes, over and over: memory, log and events stay bounded, and the switch knows
 * at the end which ports there are. TAPSWITCH_SCALE=20 makes it 20,000 times on each transport.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../../support/eventually.js'
import { BROADCAST, frame } from '../../support/frames.js'
import { RawPeer } from '../../support/raw-peer.js'
import { requirements } from '../../support/requires.js'
import { scale } from '../../support/scale.js'
import { StreamPeer } from '../../support/stream-peer.js'
import { SwitchProcess } from '../../support/switch-process.js'
import { WebSocketPeer } from '../../support/websocket-peer.js'

const VISITS = 1000 * scale
const AT_ONCE = 20
/** Arbitrary: far above what V8 keeps to collect later, far below what a record of each visit takes at length. */
const MAX_GROWTH = 64 * 1024 * 1024
/** Lines that a transport may write at once, and some for the rest of the run. */
const MAX_LINES = 512 + 32 * 120

const station = (n: number) =>
  `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`
const hello = (n: number) => frame(BROADCAST, station(n % 65_536))

describe('a guest that connects and goes in a loop', {
  timeout: 600_000,
  ...requirements({ platform: 'linux' }),
}, () => {
  let folder: string
  let running: SwitchProcess

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tapswitch-visits-'))
    running = await SwitchProcess.start(folder, {
      transports: [
        { name: 'grams', type: 'unixgram', listen: 'grams.sock' },
        { name: 'streams', type: 'stream', listen: 'streams.sock' },
        { name: 'web', type: 'websocket', listen: '/ethernet' },
      ],
      http: { listen: '127.0.0.1:0' },
    })
  })
  after(async () => {
    await running?.kill9()
    rmSync(folder, { recursive: true, force: true })
  })

  const path = (name: string) => join(folder, name)
  const guests: Record<string, (n: number) => Promise<() => void>> = {
    grams: async n => {
      const own = path(`guest-${n}.sock`)
      const peer = RawPeer.bind(own, { sendTo: path('grams.sock') })
      await peer.send(hello(n))
      return () => {
        peer.close()
        rmSync(own, { force: true })
      }
    },
    streams: async n => {
      const peer = await StreamPeer.connect({ path: path('streams.sock') })
      await peer.send([hello(n)])
      return () => peer.socket.destroy()
    },
    web: async n => {
      const peer = await WebSocketPeer.connect(`${running.url.replace('http', 'ws')}/ethernet`)
      await peer.send([hello(n)])
      return () => peer.ws.terminate()
    },
  }

  for (const [name, visit] of Object.entries(guests)) {
    it(`over ${name}: costs a bounded amount, and leaves exact records`, async () => {
      const visits = async (from: number, count: number) => {
        for (let n = from; n < from + count; n += AT_ONCE) {
          const ends = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => visit(n + i)))
          for (const end of ends) end()
        }
      }
      await visits(0, VISITS / 4)
      const before = residentBytes(running.pid)
      const linesBefore = running.log.length
      await visits(VISITS / 4, VISITS)
      const end = await visit(2 * VISITS)
      try {
        await eventually(
          async () => (await running.api.ports()).filter(({ transport, up }) => transport === name && up).length,
          up => up === 1,
          'one guest is left',
          60_000,
        )
      } finally {
        end()
      }
      const growth = residentBytes(running.pid) - before
      assert.ok(growth < MAX_GROWTH, `grew by ${growth} bytes`)
      const lines = running.log.length - linesBefore
      assert.ok(lines < MAX_LINES, `${lines} lines`)
      const { counters } = await running.api.info()
      assert.ok(counters.eventsSuppressed > 0, 'what was left out is counted')
    })
  }
})

function residentBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) * 1024
}
