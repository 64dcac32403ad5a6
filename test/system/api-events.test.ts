/** Server-sent events of a running switch: in order, filtered, resumed, and without waiting for anybody. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { createConnection } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Api } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, BROADCAST, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import type { SwitchProcess } from '../support/switch-process.js'

interface Seen {
  id: string
  event: string
  data: Record<string, unknown>
}

/** A reader that keeps what it was told. */
class Reader {
  readonly events: Seen[] = []
  readonly response: IncomingMessage
  #rest = ''

  static async open(url: string, query = '', headers: Record<string, string> = {}): Promise<Reader> {
    const sent = request(`${url}/v1/events${query}`, { headers, agent: false })
    sent.end()
    const [response] = await once(sent, 'response')
    assert.equal(response.statusCode, 200)
    assert.match(response.headers['content-type'], /^text\/event-stream/)
    return new Reader(response)
  }

  private constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8')
    response.on('data', (text: string) => this.#take(text))
    response.on('error', () => {})
  }

  until(isDone: (events: Seen[]) => boolean, what: string): Promise<Seen[]> {
    return eventually(async () => this.events, isDone, what)
  }

  close(): void {
    this.response.destroy()
  }

  #take(text: string): void {
    const parts = (this.#rest + text).split('\n\n')
    this.#rest = parts.pop() ?? ''
    for (const part of parts) {
      const fields = Object.fromEntries(part.split('\n').map(line => line.split(/: (.*)/s).slice(0, 2)))
      if (fields.event !== undefined) {
        this.events.push({ id: fields.id ?? '', event: fields.event, data: JSON.parse(fields.data) })
      }
    }
  }
}

describe('events', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let api: Api
  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
    api = new Api(running.url)
  })
  after(() => lab.close())

  const types = (events: Seen[]) => events.map(({ event }) => event)

  it('tell of ports, addresses and changes as they happen', async () => {
    const reader = await Reader.open(running.url)
    const alice = lab.qemu('alice.sock', 'vms.sock')
    await alice.send(frame(BROADCAST, ALICE))
    await reader.until(seen => types(seen).includes('mac-learned'), 'an address')
    const [added, up, learned] = reader.events
    assert.deepEqual(types(reader.events), ['port-added', 'port-up', 'mac-learned'])
    assert.equal(added?.data.port, 'vms:1')
    assert.equal(up?.data.peer, alice.path)
    assert.deepEqual([learned?.data.mac, learned?.data.port, learned?.data.type], [ALICE, 'vms:1', 'mac-learned'])
    assert.match(String(learned?.data.at), /^\d{4}-\d\d-\d\dT.*Z$/)
    await api.patch('/v1/ports/1', { isolated: true })
    await api.post('/v1/fdb', { mac: BOB, port: 1 })
    await api.post('/v1/transports', { name: 'more', type: 'unixgram', listen: 'more.sock' })
    await api.delete('/v1/transports/more')
    await api.patch('/v1/switch', { name: 'x' })
    await reader.until(seen => types(seen).includes('switch-changed'), 'the last change')
    const rest = types(reader.events)
      .slice(3)
      .filter(type => type !== 'transport-changed')
    assert.deepEqual(rest, ['port-changed', 'fdb-changed', 'transport-added', 'transport-removed', 'switch-changed'])
    const numbers = reader.events.map(({ id }) => Number(id.split('.')[1]))
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => (numbers[0] ?? 0) + i),
      'without gaps',
    )
    reader.close()
  })

  it('of some types only, where that is asked for', async () => {
    const reader = await Reader.open(running.url, '?type=transport-added,transport-removed')
    await api.patch('/v1/ports/1', { isolated: false })
    await api.post('/v1/transports', { name: 'more', type: 'unixgram', listen: 'more.sock' })
    await api.delete('/v1/transports/more')
    await reader.until(seen => seen.length === 2, 'two events')
    assert.deepEqual(types(reader.events), ['transport-added', 'transport-removed'])
    reader.close()
    const refused = await api.get('/v1/events?type=earthquake')
    assert.deepEqual([refused.status, refused.json.code], [400, 'invalid-request'])
  })

  it('go on after the last one that was seen, none twice and none missing', async () => {
    const first = await Reader.open(running.url)
    const change = (isolated: boolean) => api.patch('/v1/ports/1', { isolated })
    for (const isolated of [true, false]) await change(isolated)
    await first.until(seen => seen.length === 2, 'two events')
    first.close()
    for (const isolated of [true, false, true]) await change(isolated)
    const lastId = first.events[1]?.id ?? ''
    const second = await Reader.open(running.url, '', { 'last-event-id': lastId })
    await second.until(seen => seen.length === 3, 'three more')
    const number = (id: string) => Number(id.split('.')[1])
    assert.deepEqual(
      second.events.map(({ id }) => number(id) - number(lastId)),
      [1, 2, 3],
    )
    second.close()
    const tail = await Reader.open(running.url, '?tail=2')
    await tail.until(seen => seen.length === 2, 'the two last')
    assert.deepEqual(tail.events, second.events.slice(1))
    tail.close()
  })

  it('say so where some are gone, or where the switch is another', async () => {
    const other = await Reader.open(running.url, '', { 'last-event-id': 'elsewhere.7' })
    await other.until(seen => seen.length === 1, 'an event')
    assert.deepEqual([other.events[0]?.event, other.events[0]?.data], ['missed', { missed: null }])
    other.close()
    const recent = await Reader.open(running.url, '?tail=1')
    await recent.until(seen => seen.length === 1, 'an event')
    const [run, last] = (recent.events[0]?.id ?? '').split('.')
    recent.close()
    const flood = Number(last) + 4096 + 100
    for (let i = Number(last); i < flood; i += 64) {
      await Promise.all(Array.from({ length: 64 }, () => api.patch('/v1/ports/1', { isolated: false })))
    }
    const late = await Reader.open(running.url, '', { 'last-event-id': `${run}.${last}` })
    await late.until(seen => seen.length > 1, 'events')
    assert.equal(late.events[0]?.event, 'missed')
    assert.ok((late.events[0]?.data.missed as number) >= 100)
    late.close()
  })

  it('wait for no reader: one that does not read is disconnected, others notice nothing', async () => {
    const { hostname, port } = new URL(running.url)
    const asleep = createConnection({ host: hostname, port: Number(port) })
    asleep.write('GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await once(asleep, 'data')
    asleep.pause()
    asleep.on('error', () => {})
    const awake = await Reader.open(running.url)
    let made = 0
    const until = performance.now() + 40_000
    const closed = new Promise<void>(resolve => asleep.once('close', () => resolve()))
    let isClosed = false
    void closed.then(() => {
      isClosed = true
    })
    while (!isClosed && performance.now() < until) {
      await Promise.all(Array.from({ length: 64 }, () => api.patch('/v1/ports/1', { isolated: false })))
      made += 64
      // Whether the far end has hung up shows only to one who reads.
      if (made % 4096 === 0) {
        asleep.resume()
        await new Promise(resolve => setImmediate(resolve))
        asleep.pause()
      }
      if (made > 30_000) asleep.resume()
    }
    await awake.until(seen => seen.length >= made, 'every event')
    assert.equal(awake.events.length, made)
    awake.close()
    asleep.destroy()
  })

  it('end with the switch', async () => {
    const reader = await Reader.open(running.url)
    const ended = once(reader.response, 'close')
    const began = performance.now()
    const { code } = await running.stop()
    await ended
    assert.equal(code, 0)
    assert.ok(performance.now() - began < 5000)
  })
})
