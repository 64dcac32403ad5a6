/** Transports that cannot be attached, or that fail, on the running switch: others go on, and the operator is told. */
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { controlHeaders } from '../support/control-tokens.js'
import { eventually } from '../support/eventually.js'
import { BROADCAST, frame } from '../support/frames.js'
import { Lab } from '../support/lab.js'
import type { RawPeer } from '../support/raw-peer.js'

const mac = (n: number) => `02:00:00:00:01:0${n}`

interface TransportAnswer {
  readonly transports: readonly { name: string; state: string; reason: string | null }[]
}

describe('a transport with a port of its own, while guests hold every port', { timeout: 60_000 }, () => {
  let lab: Lab
  let url: string
  let peers: RawPeer[]
  const server = createServer(() => {})
  let at = ''

  before(async () => {
    lab = await Lab.open()
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    at = `127.0.0.1:${(server.address() as { port: number }).port}`
    const tap = await lab.startSwitch({
      switch: { maxPorts: 2 },
      http: { listen: '127.0.0.1:0', anonymous: 'control' },
      transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
    })
    url = tap.url
    peers = [1, 2].map(n => lab.qemu(`vm${n}.sock`, 'vms.sock'))
    for (const [i, peer] of peers.entries()) await peer.send(frame(BROADCAST, mac(i + 1)))
    await eventually(
      async () => (await (await fetch(`${url}/v1/ports`)).json()) as { ports: { up: boolean }[] },
      ({ ports }) => ports.filter(({ up }) => up).length === 2,
      'both ports are up',
    )
  })

  after(async () => {
    server.close()
    await lab.close()
  })

  const add = async (body: object) => {
    const response = await fetch(`${url}/v1/transports`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...controlHeaders(url) },
      body: JSON.stringify(body),
    })
    return { status: response.status, answer: (await response.json()) as { detail?: string } }
  }
  const names = async () =>
    ((await (await fetch(`${url}/v1/transports`)).json()) as TransportAnswer).transports.map(({ name }) => name)
  const dataplane = async () =>
    ((await (await fetch(`${url}/v1/switch`)).json()) as { dataplane: { restarts: number; alive: boolean } }).dataplane

  const entries: Record<string, () => object> = {
    'unixgram, one peer': () => ({ name: 'x', type: 'unixgram', listen: 'x.sock', peers: 'one' }),
    'stream, dialled': () => ({ name: 'x', type: 'stream', connect: at }),
    'stream, one peer': () => ({ name: 'x', type: 'stream', listen: 'x.sock', peers: 'one' }),
    'udp, a group': () => ({ name: 'x', type: 'udp', group: '239.1.2.3:17001', interface: '127.0.0.1' }),
    vxlan: () => ({ name: 'x', type: 'vxlan', vni: 7, listen: '127.0.0.1:14788', remotes: ['127.0.0.1:14790'] }),
  }
  for (const [kind, entry] of Object.entries(entries)) {
    it(`is refused with the reason, and nothing of it is left: ${kind}`, async () => {
      const { status, answer } = await add(entry())
      assert.equal(status, 409, JSON.stringify(answer))
      assert.match(answer.detail ?? '', /no place for port "x".*switch\.maxPorts/)
      assert.deepEqual(await names(), ['vms'])
      assert.deepEqual(await dataplane(), { restarts: 0, alive: true })
      const [one, two] = peers as [RawPeer, RawPeer]
      two.receiveNow()
      await one.send(frame(mac(2), mac(1)))
      assert.equal((await two.receive()).length, 60)
    })
  }
})

describe('two VXLAN remotes that stand for one IP address', { timeout: 60_000 }, () => {
  it('are one remote, and end nothing', async () => {
    const lab = await Lab.open()
    try {
      const remotes = ['localhost:14789', '127.0.0.1:14790']
      const tap = await lab.startSwitch({
        transports: [{ name: 'fabric', type: 'vxlan', vni: 7, listen: '127.0.0.1:14792', remotes }],
      })
      const { transports } = (await (await fetch(`${tap.url}/v1/transports`)).json()) as TransportAnswer
      assert.deepEqual(
        transports.map(({ state, reason }) => ({ state, reason })),
        [{ state: 'serving', reason: null }],
      )
      assert.equal(await (await fetch(`${tap.url}/readyz`)).text(), 'ok')
    } finally {
      await lab.close()
    }
  })
})
