/**
 * Random requests, valid and not, at a switch that runs: none is answered with a fault of ours, none is left
 * unanswered, and one that is refused has changed nothing. What can change by itself (counters, ages, times) is left
 * out of the comparison.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { problemSchema } from '#src/http/schemas.js'
import { Api } from '../support/api.js'
import { Lab } from '../support/lab.js'
import { Random, randomSeed } from '../support/random.js'
import type { SwitchProcess } from '../support/switch-process.js'

const requests = 600
const names = ['vms', 'one', 'two', 'three', '../x', 'Ä', '', 'x'.repeat(80), 'constructor', '__proto__']
const macs = ['02:00:00:00:00:01', '02-00-00-00-00-02', '02:00:00:00:00:03', 'ff:ff:ff:ff:ff:ff', '02:00', 'x']
const scraps: unknown[] = [
  null,
  true,
  -1,
  0,
  1,
  64,
  1.5,
  1e9,
  '',
  'x',
  '0600',
  [],
  {},
  [[]],
  { a: { b: 1 } },
  '\u0000',
  '💥',
]

describe(`random requests (TAPSWITCH_SEED=${randomSeed})`, { timeout: 120_000 }, () => {
  const random = new Random(randomSeed)
  let lab: Lab
  let running: SwitchProcess
  let api: Api
  before(async () => {
    lab = await Lab.open()
    running = await lab
      .startSwitch({
        transports: [
          { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
          { name: 'one', type: 'unixgram', listen: 'one.sock', peers: 'one' },
        ],
      })
      .catch(error => {
        throw error
      })
    api = new Api(running.url)
  })
  after(() => lab.close())

  const name = () => random.pick(names)
  const mac = () => random.pick(macs)
  const segment = () =>
    encodeURIComponent(random.pick([name(), mac(), String(random.between(-1, 6)), '%zz', 'forwards']))
  const some = (fields: Record<string, () => unknown>) =>
    Object.fromEntries(
      Object.entries(fields)
        .filter(() => random.next() < 0.6)
        .map(([key, make]) => [key, random.next() < 0.8 ? make() : random.pick(scraps)]),
    )
  const port = () => random.pick<unknown>(['vms', 'one', '1', 1, 2, 'two', 99])

  const bodies: Record<string, () => unknown> = {
    port: () =>
      some({
        name: () => random.pick<unknown>(['renamed', 'vms', 'one', null]),
        enabled: () => random.next() < 0.5,
        isolated: () => random.pick<unknown>([true, false, null]),
        maxFrameSize: () => random.pick<unknown>([64, 1000, 1518, 9000, null]),
        queueFrames: () => random.between(0, 100),
        maxEntries: () => random.pick<unknown>([1, 2, 100, 20_000, null]),
      }),
    switch: () =>
      some({
        name: () => random.pick(['lab', 'x', '']),
        fdb: () =>
          some({ ageingSeconds: () => random.between(0, 400), maxEntriesPerPort: () => random.between(0, 5000) }),
      }),
    entry: () => some({ mac, port }),
    flush: () => random.pick<unknown>([undefined, {}, some({ port })]),
    transport: () =>
      some({
        name,
        type: () => random.pick(['unixgram', 'unixgram', 'stream', 'pigeon']),
        listen: () => random.pick(['a.sock', 'b.sock', 'vms.sock', 'no/such/folder.sock', '/', '']),
        peers: () => random.pick(['one', 'many']),
        port: () => some({ isolated: () => true, maxFrameSize: () => 9000 }),
      }),
    interface: () => some({ name, type: () => random.pick(['auto', 'tap', 'slirp', 'vmnet', 'x']), mode: () => 'x' }),
    forward: () => some({ protocol: () => 'tcp', host: () => '127.0.0.1:1', guest: () => '10.0.2.15:22' }),
    scrap: () => random.pick(scraps),
  }
  const targets: [method: string, path: () => string, body?: string][] = [
    ['PATCH', () => `/v1/ports/${random.between(0, 8)}`, 'port'],
    ['PATCH', () => `/v1/ports/${segment()}`, 'port'],
    ['DELETE', () => `/v1/ports/${segment()}`],
    ['PATCH', () => '/v1/switch', 'switch'],
    ['POST', () => '/v1/fdb', 'entry'],
    ['DELETE', () => `/v1/fdb/${mac()}`],
    ['POST', () => '/v1/fdb/flush', 'flush'],
    ['POST', () => '/v1/transports', 'transport'],
    ['POST', () => '/v1/transports', 'transport'],
    ['DELETE', () => `/v1/transports/${segment()}`],
    ['POST', () => '/v1/interfaces', 'interface'],
    ['DELETE', () => `/v1/interfaces/${segment()}`],
    ['POST', () => `/v1/${random.pick(['transports', 'interfaces'])}/${segment()}/forwards`, 'forward'],
    ['DELETE', () => `/v1/transports/${segment()}/forwards?host=${segment()}`],
    ['POST', () => '/v1/config/save'],
    ['GET', () => `/v1/fdb?port=${segment()}&limit=${segment()}`],
    ['GET', () => `/v1/${random.pick(['ports', 'transports', 'interfaces', 'fdb', 'captures', ''])}/${segment()}`],
    ['DELETE', () => `/v1/captures/${segment()}`],
    ['GET', () => `/v1/capture?filter=${segment()}&snaplen=0`],
    ['GET', () => `/v1/events?type=${segment()}&tail=x`],
    ['PUT', () => `/v1/${segment()}`, 'scrap'],
  ]

  /** All that only a change changes. */
  async function state(): Promise<unknown> {
    const [{ json: info }, { json: ports }, { json: transports }, { json: interfaces }, { json: fdb }] =
      await Promise.all(
        ['/v1/switch', '/v1/ports', '/v1/transports', '/v1/interfaces', '/v1/fdb'].map(path => api.get(path)),
      )
    const stripped = (entries: Record<string, unknown>[]) =>
      entries.map(({ counters: _counters, since: _since, drops: _drops, facts: _facts, ...rest }) => rest)
    const { counters: _counters, ...settings } = info
    return {
      settings,
      ports: stripped(ports.ports),
      transports: stripped(transports.transports),
      interfaces: stripped(interfaces.interfaces),
      fdb: fdb.entries.map(({ ageSeconds: _age, ...rest }: Record<string, unknown>) => rest),
    }
  }

  it('are never answered with 500, and change nothing when they are refused', async () => {
    // One request for each kind of answer, so that no seed leaves one out.
    const vms2 = { name: 'vms2', type: 'unixgram', listen: 'vms2.sock' }
    const certain: [method: string, path: string, body: unknown, status: number][] = [
      ['POST', '/v1/transports', vms2, 201],
      ['POST', '/v1/transports', vms2, 400],
      ['POST', '/v1/transports', { ...vms2, name: 'lost', listen: 'no/such/folder.sock' }, 409],
      ['PATCH', '/v1/switch', { name: 'lab' }, 200],
      ['DELETE', '/v1/transports/vms2', undefined, 204],
      ['DELETE', '/v1/transports/vms2', undefined, 404],
      ['PATCH', '/v1/switch', { name: 1 }, 400],
    ]
    for (const [method, path, body, status] of certain) {
      const reply = await api.send(method, path, body)
      assert.equal(reply.status, status, `${method} ${path}: ${reply.body}`)
    }
    let before = await state()
    for (let i = 0; i < requests; i++) {
      const [method, path, body] = random.pick(targets)
      const where = path()
      const wanted = body === undefined ? undefined : bodies[random.next() < 0.9 ? body : 'scrap']?.()
      const reply = await api.send(method, where, wanted)
      const said = `${method} ${where} ${JSON.stringify(wanted)} -> ${reply.status} ${reply.body}`
      assert.ok(reply.status < 500, said)
      if (reply.status >= 400) {
        problemSchema.strict().parse(reply.json)
        assert.deepEqual(await state(), before, said)
      } else if (method !== 'GET') before = await state()
    }
    assert.equal((await api.get('/readyz')).status, 200)
    assert.deepEqual(
      running.log.filter(line => line['err'] !== undefined || line['error'] !== undefined),
      [],
    )
  })
})
