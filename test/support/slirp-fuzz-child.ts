/**
 * A process in which libslirp is given frames that a seed makes, with admission in front of it or without. When
 * libslirp crashes, this process ends by a signal, and the file that it was given holds the number of the frame and the
 * last frames.
 *
 *     node slirp-fuzz-child.js SEED FRAMES on|off TRACE-FILE
 *
 * Run it in a network namespace without a way out. It prints one JSON line at its end. Time is made up: a turn of the
 * loop takes up to a second, so that hours of timers pass in a run.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { openSync, readdirSync, writeSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { setImmediate as soon } from 'node:timers/promises'
import { libc } from '#src/os/libc.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { Admission } from '#src/slirp/admission.js'
import { Connections } from '#src/slirp/connections.js'
import { loadSlirp } from '#src/slirp/library.js'
import { PollSet } from '#src/slirp/poll-set.js'
import { SharedState } from '#src/slirp/shared-state.js'
import { SlirpStack } from '#src/slirp/stack.js'
import { Random } from './random.js'
import { slirpConfig } from './slirp-config.js'
import { SlirpFrames } from './slirp-frames.js'
import { TRACE_SLOT_BYTES, TRACE_SLOTS } from './slirp-trace.js'

const MAX_CONNECTIONS = 200
const FRAMES_PER_TURN = 32
const TURNS_PER_LOOP = 8

export interface FuzzResult {
  readonly library: string
  readonly frames: number
  readonly given: number
  readonly answered: number
  readonly refusals: [string, number][]
  readonly seconds: number
  /** Bytes that the process has grown by since the first tenth of the run. */
  readonly growth: number
  readonly descriptors: number
  /** Connections and datagrams that the host's loopback saw; undefined where guests may reach it. */
  readonly strays: number | undefined
}

async function main(seed: number, frames: number, isGuarded: boolean, tracePath: string): Promise<void> {
  const random = new Random(seed)
  const hostLoopback = random.next() < 0.7
  const library = loadSlirp()
  const host = await listen()
  const config = slirpConfig({ hostLoopback, maxConnections: MAX_CONNECTIONS })
  const shared = new SharedState()
  const connections = new Connections(MAX_CONNECTIONS, (held, forwarded) => shared.setSockets(held, forwarded))
  const source = new SlirpFrames(random, host.ports)
  const sent = new NativeMemory(70_000)
  let now = 1_000_000
  let given = 0
  let answered = 0
  const copy = loadCopy()
  const send = (address: number, length: number) => {
    answered++
    copy(sent.address, address, Math.min(length, 70_000))
    source.observe(sent.bytes.subarray(0, length))
    admission.hear(sent.bytes, 0)
  }
  const stack = new SlirpStack({ library, shared, config, send, clock: () => now, connections })
  const give = (address: number, length: number) => {
    given++
    stack.input(address, length)
  }
  const admission = new Admission({ config, connections, give, counts: shared.refusals })
  const polls = new PollSet()
  const memory = new NativeMemory(70_000)
  const trace = openSync(tracePath, 'w')
  const record = Buffer.alloc(TRACE_SLOT_BYTES)
  const began = performance.now()
  let early = 0
  for (let n = 1; n <= frames; ) {
    for (let turn = 0; turn < TURNS_PER_LOOP && n <= frames; turn++) {
      for (let i = random.between(1, FRAMES_PER_TURN); i > 0 && n <= frames; i--, n++) {
        const frame = source.next()
        memory.bytes.set(frame)
        record.writeUInt32LE(n, 0)
        record.writeUInt32LE(frame.length, 4)
        record.set(frame.subarray(0, TRACE_SLOT_BYTES - 8), 8)
        writeSync(
          trace,
          record,
          0,
          8 + Math.min(frame.length, TRACE_SLOT_BYTES - 8),
          (n % TRACE_SLOTS) * TRACE_SLOT_BYTES,
        )
        if (isGuarded) admission.admit(memory.bytes, 0, frame.length, memory.address, now)
        else give(memory.address, frame.length)
      }
      now += random.pick([0, 1, 10, 200, 1000])
      polls.clear()
      stack.fill(polls)
      stack.dispatch(polls.wait(0))
    }
    if (early === 0 && n > frames / 10) early = process.memoryUsage.rss()
    // The servers of the host take their turn.
    await soon()
  }
  const result: FuzzResult = {
    library: library.version,
    frames,
    given,
    answered,
    refusals: admission.counts.list(),
    seconds: (performance.now() - began) / 1000,
    growth: process.memoryUsage.rss() - early,
    descriptors: readdirSync('/proc/self/fd').length - host.sockets(),
    strays: hostLoopback ? undefined : host.seen(),
  }
  stack.close()
  writeSync(1, `${JSON.stringify(result)}\n`)
  process.exit(0)
}

/** Servers on both loopbacks, for TCP and UDP: they answer, hang up, or say nothing. */
async function listen() {
  let seen = 0
  const open = new Set<unknown>()
  const tcp: Server[] = []
  const udp: UdpSocket[] = []
  for (const address of ['127.0.0.1', '::1']) {
    const server = createServer({ allowHalfOpen: true }, socket => {
      seen++
      open.add(socket)
      // A guest that does not read must not make this process grow: its memory is what the test watches.
      socket.on('data', data => data[0] % 3 === 0 && socket.writableLength === 0 && socket.write(data))
      socket.on('error', () => {}).on('close', () => open.delete(socket))
      if (seen % 3 === 0) socket.end('bye')
      if (seen % 7 === 0) socket.destroy()
    })
    server.listen(0, address)
    await once(server, 'listening')
    tcp.push(server)
    const socket = createSocket(address === '::1' ? 'udp6' : 'udp4')
    socket.on('message', (data, { port, address: to }) => {
      seen++
      if (data.length % 2 === 0) socket.send(data, port, to)
    })
    socket.on('error', () => {})
    socket.bind(0, address)
    await once(socket, 'listening')
    udp.push(socket)
  }
  return {
    ports: [...tcp, ...udp].map(each => (each.address() as AddressInfo).port),
    seen: () => seen,
    /** Descriptors that are not the stack's. */
    sockets: () => open.size,
  }
}

function loadCopy(): (to: number, from: number, length: number) => void {
  return libc.func('void memcpy(uintptr_t to, uintptr_t from, size_t length)') as never
}

const [seed = '1', frames = '1000', mode = 'on', tracePath = '/dev/null'] = process.argv.slice(2)
await main(Number(seed), Number(frames), mode === 'on', tracePath)
