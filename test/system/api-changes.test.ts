/**
 * What the API changes on a switch that runs: each change seen in the traffic or in the file, each refusal in nothing.
 */
import assert from 'node:assert/strict'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { Api, type Reply } from '../support/api.js'
import { eventually } from '../support/eventually.js'
import { ALICE, BOB, BROADCAST, CAROL, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import type { RawPeer } from '../support/raw-peer.js'
import type { SwitchProcess } from '../support/switch-process.js'

function assertRefused({ status, json, body }: Reply, wanted: number, code: string, detail = /./): void {
  assert.equal(status, wanted, body)
  assert.equal(json.code, code)
  assert.match(json.detail, detail)
}

function assertOk(reply: Reply, status = 200): Reply {
  assert.equal(reply.status, status, reply.body)
  return reply
}

describe('a running switch, changed over the API', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess
  let api: Api
  let alice: RawPeer
  let bob: RawPeer
  /** Ids of their ports. */
  let a: number
  let b: number

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({
      transports: [
        { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
        { name: 'one', type: 'unixgram', listen: 'one.sock', peers: 'one' },
      ],
    })
    api = new Api(running.url)
    alice = lab.qemu('alice.sock', 'vms.sock')
    bob = lab.qemu('bob.sock', 'vms.sock')
    for (const [peer, mac] of [
      [alice, ALICE],
      [bob, BOB],
    ] as const)
      await peer.send(frame(BROADCAST, mac))
    a = await idOf(alice)
    b = await idOf(bob)
  })
  after(() => lab.close())

  async function idOf(peer: RawPeer): Promise<number> {
    const port = await eventually(
      async () => (await running.api.ports()).find(each => each.peer === peer.path),
      found => found !== undefined,
      `a port of ${peer.path}`,
    )
    return (port as { id: number }).id
  }

  const port = async (id: number) => assertOk(await api.get(`/v1/ports/${id}`)).json
  const macs = async () => (await running.api.fdb()).map(({ mac }) => mac)
  let sent = 60
  /** Whether a frame from one reaches the other, known by its length among those that came before. */
  async function passes(from: RawPeer, to: RawPeer, mac: string): Promise<boolean> {
    const length = ++sent
    await from.send(frame(BROADCAST, mac, length))
    return receives(to, length, 500)
  }
  async function receives(peer: RawPeer, length: number, timeoutMs = 5000): Promise<boolean> {
    const deadline = performance.now() + timeoutMs
    for (let left = timeoutMs; left > 0; left = deadline - performance.now()) {
      const bytes = await peer.receive(left).catch(() => undefined)
      if (bytes?.length === length) return true
    }
    return false
  }

  describe('ports', () => {
    it('get another name, in the metrics too, and their own back', async () => {
      const renamed = assertOk(await api.patch(`/v1/ports/${a}`, { name: 'web-server' })).json
      assert.equal(renamed.name, 'web-server')
      assert.equal((await running.api.metrics()).value('tapswitch_port_up{port="web-server"}'), 1)
      const { entries } = (await api.get('/v1/fdb?port=web-server')).json
      assert.deepEqual(
        entries.map(({ mac }: { mac: string }) => mac),
        [ALICE],
      )
      assert.equal(assertOk(await api.patch(`/v1/ports/${a}`, { name: null })).json.name, 'vms:1')
    })

    it('get no name that another has, or may come to have', async () => {
      assertRefused(await api.patch(`/v1/ports/${a}`, { name: 'vms:2', isolated: true }), 400, 'invalid-request')
      for (const name of ['vms', 'one']) {
        assertRefused(await api.patch(`/v1/ports/${a}`, { name, isolated: true }), 409, 'name-taken')
      }
      const { name, isolated } = await port(a)
      assert.deepEqual([name, isolated], ['vms:1', false])
    })

    it('forward nothing, in or out, while they are switched off, and say so', async () => {
      assert.equal(await passes(alice, bob, ALICE), true)
      const off = assertOk(await api.patch(`/v1/ports/${a}`, { enabled: false })).json
      assert.deepEqual([off.enabled, off.up], [false, false])
      assert.equal(await passes(alice, bob, ALICE), false)
      assert.equal(await passes(bob, alice, BOB), false)
      const { counters } = await eventually(
        () => port(a),
        ({ counters }) => counters.receiveDrops['port-down'] > 0,
        'a drop that is counted',
      )
      assert.equal(counters.transmitDrops.error, 0)
      assert.ok(!(await macs()).includes(ALICE))
      assert.equal(assertOk(await api.patch(`/v1/ports/${a}`, { enabled: true })).json.up, true)
      assert.equal(await passes(alice, bob, ALICE), true)
      assert.equal(await passes(bob, alice, BOB), true)
    })

    it('get a policy of their own, and lose it with null', async () => {
      for (const id of [a, b]) assertOk(await api.patch(`/v1/ports/${id}`, { isolated: true }))
      assert.equal(await passes(alice, bob, ALICE), false)
      const set = assertOk(await api.patch(`/v1/ports/${a}`, { isolated: null, maxFrameSize: 600, maxEntries: 7 })).json
      assert.deepEqual([set.isolated, set.maxFrameSize, set.maxEntries], [false, 600, 7])
      await alice.send(frame(BROADCAST, ALICE, 601))
      await eventually(
        () => port(a),
        ({ counters }) => counters.receiveDrops.oversize === 1,
        'a drop for its size',
      )
      assertOk(await api.patch(`/v1/ports/${a}`, { maxFrameSize: null, maxEntries: null }))
      assertOk(await api.patch(`/v1/ports/${b}`, { isolated: null }))
      assert.equal((await port(a)).maxFrameSize, 1518)
      assert.equal(await passes(alice, bob, ALICE), true)
    })

    it('get no policy that the switch cannot keep, and nothing else of such a request', async () => {
      const before = await port(a)
      const refused = await api.patch(`/v1/ports/${a}`, { name: 'x', maxFrameSize: 9000, maxEntries: 20_000 })
      assertRefused(refused, 400, 'invalid-request', /9000 is more than switch\.maxFrameSize, which is 1518/)
      assert.deepEqual(
        refused.json.errors.map(({ path }: { path: string }) => path),
        ['maxFrameSize', 'maxEntries'],
      )
      for (const wrong of [{ enabled: 'no' }, { speed: 10 }, { queueFrames: 0 }, [], 'x', 3, null]) {
        assertRefused(await api.patch(`/v1/ports/${a}`, wrong), 400, 'invalid-request')
      }
      assertRefused(await api.patch('/v1/ports/999', { enabled: false }), 404, 'no-such-port')
      const { name, maxFrameSize } = await port(a)
      assert.deepEqual([name, maxFrameSize], [before.name, before.maxFrameSize])
    })

    it('lose whoever is connected, who may come back', async () => {
      assertOk(await api.delete(`/v1/ports/${b}`), 204)
      await running.api.portWhen(b, ({ up }) => !up, 'a port without its peer')
      assertRefused(await api.delete(`/v1/ports/${b}`), 409, 'not-connected')
      await bob.send(frame(BROADCAST, BOB))
      await running.api.portWhen(b, ({ up }) => up, 'the peer again, on the same port')
      assertRefused(await api.delete('/v1/ports/999'), 404, 'no-such-port')
    })
  })

  describe('the filtering database', () => {
    it('takes an address for a port by name or id, once, and shows where it is', async () => {
      const made = assertOk(await api.post('/v1/fdb', { mac: '02-00-00-00-00-0C', port: 'vms:2' }), 201)
      assert.equal(made.headers.location, `/v1/fdb/${CAROL}`)
      assert.deepEqual(made.json, { mac: CAROL, portId: b, port: 'vms:2', static: true, ageSeconds: null })
      assertOk(await api.post('/v1/fdb', { mac: CAROL, port: b }), 200)
      assertRefused(await api.post('/v1/fdb', { mac: CAROL, port: a }), 409, 'address-taken', /vms:2/)
      await alice.send(frame(CAROL, ALICE, 999))
      assert.ok(await receives(bob, 99 + 900), 'what is sent there goes to its port')
      assert.deepEqual(assertOk(await api.get(`/v1/fdb/${CAROL}`)).json, made.json)
    })

    it('keeps static addresses when it is flushed, and forgets what was learned, of one port or of all', async () => {
      assert.ok(await passes(alice, bob, ALICE))
      assert.deepEqual((await macs()).sort(), [ALICE, BOB, CAROL])
      assertOk(await api.post('/v1/fdb/flush', { port: 'vms:1' }), 204)
      assert.deepEqual((await macs()).sort(), [BOB, CAROL])
      assertOk(await api.post('/v1/fdb/flush'), 204)
      assert.deepEqual(await macs(), [CAROL])
      assertRefused(await api.post('/v1/fdb/flush', { port: 'nobody' }), 404, 'no-such-port')
    })

    it('forgets one address, learned or static, and none that it does not have', async () => {
      assert.ok(await passes(alice, bob, ALICE))
      for (const mac of [ALICE, CAROL]) assertOk(await api.delete(`/v1/fdb/${mac}`), 204)
      assert.deepEqual(await macs(), [])
      for (const mac of [ALICE, CAROL]) assertRefused(await api.delete(`/v1/fdb/${mac}`), 404, 'no-such-entry')
      assertRefused(await api.get(`/v1/fdb/${ALICE}`), 404, 'no-such-entry')
    })

    it('takes no address that no station has, and none for a port that is full', async () => {
      for (const mac of ['ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '00:00:00:00:00:00', 'x', '']) {
        assertRefused(await api.post('/v1/fdb', { mac, port: a }), 400, 'invalid-request')
      }
      assertRefused(await api.post('/v1/fdb', { mac: CAROL, port: 'nobody' }), 404, 'no-such-port')
      assertOk(await api.patch(`/v1/ports/${a}`, { maxEntries: 1 }))
      assertOk(await api.post('/v1/fdb', { mac: CAROL, port: a }), 201)
      assertRefused(await api.post('/v1/fdb', { mac: '02:00:00:00:00:0d', port: a }), 409, 'limit-reached')
      assertOk(await api.delete(`/v1/fdb/${CAROL}`), 204)
      assertOk(await api.patch(`/v1/ports/${a}`, { maxEntries: null }))
    })

    it('has static addresses of a port that is down, and gives them to it when it comes up', async () => {
      const one = (await running.api.ports()).find(({ name }) => name === 'one')
      assertOk(await api.post('/v1/fdb', { mac: CAROL, port: 'one' }), 201)
      assert.deepEqual((await running.api.fdb()).find(({ mac }) => mac === CAROL)?.port, 'one')
      const carol = lab.qemu('carol.sock', 'one.sock')
      await carol.send(frame(BROADCAST, '02:00:00:00:00:0d'))
      await running.api.portWhen(one?.id as number, ({ up }) => up, 'the port up')
      await alice.send(frame(CAROL, ALICE, 1077))
      assert.ok(await receives(carol, 1077))
      assertOk(await api.delete(`/v1/fdb/${CAROL}`), 204)
    })
  })

  it('keeps what was set for a port through another data plane and through a reload', async () => {
    assertOk(await api.patch(`/v1/ports/${a}`, { name: 'kept', isolated: true, queueFrames: 7 }))
    assertOk(await api.patch(`/v1/ports/${b}`, { enabled: false }))
    assertOk(await api.post('/v1/fdb', { mac: CAROL, port: 'kept' }), 201)
    assertOk(await api.patch('/v1/switch', { bufferBytes: 32 * 1024 * 1024 }))
    const check = async () => {
      const [first, second] = [await port(a), await port(b)]
      assert.deepEqual(
        [first.name, first.isolated, first.queueFrames, first.up, second.enabled, second.up],
        ['kept', true, 7, true, false, false],
      )
      assert.equal((await running.api.fdb()).find(({ mac }) => mac === CAROL)?.portId, a)
    }
    await check()
    await alice.send(frame(BROADCAST, ALICE))
    await eventually(macs, all => all.includes(ALICE), 'the port forwards')
    await running.reload({
      http: { listen: '127.0.0.1:0' },
      switch: { bufferBytes: 32 * 1024 * 1024 },
      transports: [
        { name: 'vms', type: 'unixgram', listen: 'vms.sock', port: { queueFrames: 9 } },
        { name: 'one', type: 'unixgram', listen: 'one.sock', peers: 'one' },
      ],
    })
    await check()
    assertOk(await api.patch(`/v1/ports/${a}`, { name: null, isolated: null, queueFrames: null }))
    assert.equal((await port(a)).queueFrames, 9, 'what its transport says by now')
    assertOk(await api.patch(`/v1/ports/${b}`, { enabled: true }))
    assertOk(await api.delete(`/v1/fdb/${CAROL}`), 204)
  })

  describe('the switch', () => {
    it('takes new settings, which its ports follow', async () => {
      const changed = assertOk(
        await api.patch('/v1/switch', { name: 'lab2', maxFrameSize: 9018, fdb: { ageingSeconds: 60 } }),
      ).json
      assert.deepEqual([changed.name, changed.maxFrameSize, changed.fdb.ageingSeconds], ['lab2', 9018, 60])
      assert.equal((await port(a)).maxFrameSize, 9018)
      await bob.send(frame(BROADCAST, BOB))
      await alice.send(frame(BROADCAST, ALICE, 9000))
      assert.ok(await receives(bob, 9000), 'a jumbo frame')
    })

    it('takes none that do not fit each other, and no part of them', async () => {
      const before = (await api.get('/v1/switch')).json
      const refused = await api.patch('/v1/switch', { name: 'x', fdb: { maxEntries: 100, maxEntriesPerPort: 200 } })
      assertRefused(refused, 400, 'invalid-request', /200 is more than switch\.fdb\.maxEntries, which is 100/)
      for (const wrong of [{ maxPorts: 4 }, { maxFrameSize: 63 }, { fdb: { ageing: 1 } }, { name: 'Ä' }]) {
        assertRefused(await api.patch('/v1/switch', wrong), 400, 'invalid-request')
      }
      const { name, fdb } = (await api.get('/v1/switch')).json
      assert.deepEqual([name, fdb.capacity], [before.name, before.fdb.capacity])
    })
  })

  describe('transports', () => {
    it('come, carry frames, and go with their ports and their socket', async () => {
      const made = assertOk(
        await api.post('/v1/transports', { name: 'more', type: 'unixgram', listen: 'more.sock' }),
        201,
      )
      assert.equal(made.headers.location, '/v1/transports/more')
      assert.equal(made.json.listen, lab.path('more.sock'))
      assert.equal(made.json.config.maxPeers, 64, 'with defaults filled in')
      const dave = lab.qemu('dave.sock', 'more.sock')
      await dave.send(frame(ALICE, '02:00:00:00:00:0d', 1088))
      assert.ok(await receives(alice, 1088), 'a frame from there')
      assert.equal(assertOk(await api.get('/v1/transports/more')).json.ports, 1)
      assertOk(await api.delete('/v1/transports/more'), 204)
      assert.ok(!(await running.api.ports()).some(({ transport }) => transport === 'more'))
      await assert.rejects(stat(lab.path('more.sock')), { code: 'ENOENT' })
      assertRefused(await api.get('/v1/transports/more'), 404, 'no-such-transport')
      assertRefused(await api.delete('/v1/transports/more'), 404, 'no-such-transport')
    })

    it('that cannot be are refused with all that is wrong, and leave nothing', async () => {
      const before = (await api.get('/v1/transports')).json.transports.map(({ name }: { name: string }) => name)
      const wrong = await api.post('/v1/transports', { name: 'vms', type: 'unixgram', listen: 'vms.sock', peer: 1 })
      assertRefused(wrong, 400, 'invalid-request', /peer/)
      const taken = await api.post('/v1/transports', { name: 'vms', type: 'unixgram', listen: 'vms.sock' })
      assertRefused(taken, 400, 'invalid-request', /"vms" is taken/)
      assert.deepEqual(
        taken.json.errors.map((each: { in: string; path: string }) => [each.in, each.path]),
        [
          ['body', 'listen'],
          ['body', 'name'],
        ],
      )
      await writeFile(lab.path('file.sock'), 'not a socket')
      const blocked = await api.post('/v1/transports', { name: 'blocked', type: 'unixgram', listen: 'file.sock' })
      assertRefused(blocked, 409, 'not-possible', /file\.sock/)
      for (const body of [{}, { name: 'x' }, { name: 'x', type: 'pigeon' }, [], 'x', null]) {
        assertRefused(await api.post('/v1/transports', body), 400, 'invalid-request')
      }
      assert.equal((await api.get('/readyz')).status, 200)
      assert.deepEqual(
        (await api.get('/v1/transports')).json.transports.map(({ name }: { name: string }) => name),
        before,
      )
    })

    it('may not take the name of a port that was renamed', async () => {
      assertOk(await api.patch(`/v1/ports/${a}`, { name: 'borrowed' }))
      const entry = { name: 'borrowed', type: 'unixgram', listen: 'borrowed.sock', peers: 'one' }
      assertRefused(await api.post('/v1/transports', entry), 409, 'name-taken')
      assertOk(await api.patch(`/v1/ports/${a}`, { name: null }))
    })

    it('and interfaces are not mixed up, and have no forwards unless they do', async () => {
      assertRefused(await api.get('/v1/interfaces/vms'), 404, 'no-such-interface')
      assertRefused(await api.delete('/v1/interfaces/vms'), 404, 'no-such-interface')
      assertRefused(await api.get('/v1/interfaces/vms/forwards'), 404, 'no-such-interface')
      assertRefused(await api.get('/v1/transports/vms/forwards'), 409, 'no-forwards')
      const forward = { host: '127.0.0.1:1', guest: '10.0.2.15:22' }
      assertRefused(await api.post('/v1/transports/vms/forwards', forward), 409, 'no-forwards')
      assertRefused(await api.delete('/v1/transports/vms/forwards?host=127.0.0.1:1'), 409, 'no-forwards')
      assertRefused(await api.post('/v1/transports/vms/forwards', { ...forward, guest: 'x' }), 400, 'invalid-request')
      assert.deepEqual((await api.get('/v1/interfaces')).json, { interfaces: [] })
    })

    it('that are asked for at the same time come one after the other', async () => {
      const names = Array.from({ length: 10 }, (_, i) => `crowd${i}`)
      const replies = await Promise.all(
        names.map(name => api.post('/v1/transports', { name, type: 'unixgram', listen: 'crowd.sock' })),
      )
      assert.deepEqual(replies.map(({ status }) => status).sort(), [201, ...Array(9).fill(400)])
      const winner = replies.find(({ status }) => status === 201)?.json.name
      assertOk(await api.delete(`/v1/transports/${winner}`), 204)
    })
  })
})

describe('the configuration file, written on request', { timeout: 60_000 }, () => {
  const text = [
    '# A lab.',
    'transports:',
    '  - { name: vms, type: unixgram, listen: vms.sock } # for everybody',
    '  - name: one # the fast one',
    '    type: unixgram',
    '    listen: one.sock',
    '    peers: one',
    '  - { name: old, type: unixgram, listen: old.sock }',
    'http:',
    '  listen: 127.0.0.1:0 # a free one',
    '',
  ].join('\n')

  async function withFile(
    content: string,
    test: (api: Api, running: SwitchProcess, read: () => Promise<string>, lab: Lab) => Promise<void>,
  ): Promise<void> {
    const lab = await Lab.open()
    try {
      const running = await lab.startSwitch({ transports: [] })
      const whole = content.startsWith('{') ? content : `runtimeDir: ${lab.folder}\n${content}`
      await writeFile(running.file, whole)
      await chmod(running.file, 0o640)
      running.kill('SIGHUP')
      await running.logged(({ msg }) => msg === 'configuration reloaded')
      await test(new Api(running.url), running, () => readFile(running.file, 'utf8'), lab)
    } finally {
      await lab.close()
    }
  }

  it('says what was added, changed and removed, and keeps every comment, its mode, and what it means', () =>
    withFile(text, async (api, running, read, lab) => {
      assertOk(
        await api.post('/v1/transports', { name: 'new', type: 'unixgram', listen: 'new.sock', maxPeers: 3 }),
        201,
      )
      assertOk(await api.delete('/v1/transports/old'), 204)
      assertOk(await api.post('/v1/fdb', { mac: CAROL, port: 'one' }), 201)
      const one = (await running.api.ports()).find(({ name }) => name === 'one')?.id
      assertOk(await api.patch(`/v1/ports/${one}`, { isolated: true, name: 'fast' }))
      assertOk(await api.patch('/v1/switch', { maxFrameSize: 9018 }))
      const { file, written, notSaved } = assertOk(await api.post('/v1/config/save')).json
      assert.deepEqual([file, written], [running.file, true])
      assert.match(notSaved.join(), /the name "fast"/)
      const saved = await read()
      const expected = text
        .replace(
          '    peers: one\n',
          `    peers: one\n    port:\n      isolated: true\n      fdb:\n        static: [ "${CAROL}" ]\n`,
        )
        .replace(
          '  - { name: old, type: unixgram, listen: old.sock }\n',
          '  - name: new\n    type: unixgram\n    listen: "new.sock"\n    maxPeers: 3\n',
        )
      assert.equal(saved, `runtimeDir: ${lab.folder}\n${expected}switch:\n  maxFrameSize: 9018\n`)
      assert.equal((await stat(running.file)).mode & 0o777, 0o640)
      assert.deepEqual(assertOk(await api.post('/v1/config/save')).json.written, false)
      running.kill('SIGHUP')
      const line = await eventually(
        async () => running.log.filter(({ msg }) => msg === 'configuration reloaded').at(1),
        found => found !== undefined,
        'the second reload',
      )
      assert.deepEqual([line?.added, line?.removed, line?.changed], [[], [], []], 'what is saved is what runs')
    }))

  it('stays JSON where it was', async () => {
    const lab = await Lab.open()
    try {
      const running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
      const api = new Api(running.url)
      assertOk(await api.post('/v1/transports', { name: 'new', type: 'unixgram', listen: 'new.sock' }), 201)
      assertOk(await api.post('/v1/config/save'))
      const saved = JSON.parse(await readFile(running.file, 'utf8'))
      assert.deepEqual(saved.transports, [
        { name: 'vms', type: 'unixgram', listen: 'vms.sock' },
        { name: 'new', type: 'unixgram', listen: 'new.sock' },
      ])
    } finally {
      await lab.close()
    }
  })

  it('is left alone when somebody else has changed it, until it is read again', () =>
    withFile(text, async (api, running, read) => {
      assertOk(await api.delete('/v1/transports/old'), 204)
      const other = (await read()).replace('# A lab.', '# My lab.')
      await writeFile(running.file, other)
      assertRefused(await api.post('/v1/config/save'), 409, 'file-changed', /SIGHUP/)
      assert.equal(await read(), other)
      running.kill('SIGHUP')
      await eventually(
        async () => running.log.filter(({ msg }) => msg === 'configuration reloaded').length,
        count => count === 2,
        'the second reload',
      )
      assert.equal(assertOk(await api.get('/v1/transports/old')).json.name, 'old', 'the file has it')
      assert.equal(assertOk(await api.post('/v1/config/save')).json.written, false)
    }))
})
