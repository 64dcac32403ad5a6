/**
 * One peer of a UDP or VXLAN listener sends as fast as it can, another one a frame now and then: the second one loses
 * nothing worth mentioning. Nor does it when the flood comes from addresses that the switch does not know, ever new
 * ones.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { vxlanHeader } from '#src/wire/vxlan.js'
import { eventually } from '../../support/eventually.js'
import type { FloodSettings } from '../../support/flood-thread.js'
import { Flooder, type Pings, pings } from '../../support/flooder.js'
import { ALICE, BOB, BROADCAST, frame } from '../../support/frames.js'
import { Lab } from '../../support/lab.js'
import { numbered, numberOf, sourceOf } from '../../support/numbered.js'
import { requirements } from '../../support/requires.js'
import { scale } from '../../support/scale.js'
import type { SwitchProcess } from '../../support/switch-process.js'
import { freeUdpPort, UdpPeer, type UdpPeerOptions } from '../../support/udp-peer.js'

const MALLORY = '02:00:00:00:00:66'
const isLong = scale > 1
const COUNT = isLong ? Math.round(50 * scale) : 50
const EVERY_MS = isLong ? 100 : 30
/** The short form runs beside others; milliseconds. */
const MEDIAN_MS = isLong ? 20 : 500
const VNI = 7
const MAX_PEERS = 20
const header = vxlanHeader(VNI)

interface Kind {
  name: string
  transport(listen: string, pinger: string, flooder: string): object
  flooder: Partial<FloodSettings>
  pinger?: UdpPeerOptions
  /** Both send to it. */
  group?: string
}

const PINGER = '127.0.0.3'
const FLOODER = '127.0.0.2'
const allowedSources = ['127.0.0.0/8']

const group = `230.0.0.9:${freeUdpPort()}`

const kinds: Kind[] = [
  {
    name: 'udp, a group',
    transport: () => ({ type: 'udp', group, interface: '127.0.0.1' }),
    // From the group's port, as QEMU sends; the one that pings has another.
    flooder: { from: '127.0.0.1', isMember: true },
    pinger: { group: { address: group, interface: '127.0.0.1' } },
    group,
  },
  {
    name: 'udp, configured peers',
    transport: (listen, pinger, flooder) => ({ type: 'udp', listen, peers: [pinger, flooder] }),
    flooder: {},
  },
  {
    name: 'udp, learned peers',
    transport: listen => ({ type: 'udp', listen, learnPeers: true, allowedSources }),
    flooder: {},
  },
  {
    name: 'udp, a stranger',
    transport: (listen, pinger) => ({ type: 'udp', listen, peers: [pinger] }),
    flooder: {},
  },
  {
    name: 'vxlan, remotes',
    transport: listen => ({ type: 'vxlan', vni: VNI, listen, remotes: [PINGER, FLOODER] }),
    flooder: { header },
    pinger: { header },
  },
  {
    name: 'vxlan, learned remotes',
    transport: listen => ({ type: 'vxlan', vni: VNI, listen, learnRemotes: true, allowedSources }),
    flooder: { header },
    pinger: { header },
  },
  {
    name: 'vxlan, a stranger',
    transport: listen => ({ type: 'vxlan', vni: VNI, listen, remotes: [PINGER] }),
    flooder: { header },
    pinger: { header },
  },
]

describe('a flooder beside a peer that pings', {
  ...requirements({ platform: 'linux' }),
  timeout: 120_000 * scale,
}, () => {
  let lab: Lab
  let running: SwitchProcess
  let pinger: UdpPeer

  beforeEach(async () => {
    lab = await Lab.open()
  })
  afterEach(() => lab.close())

  async function start(kind: Kind): Promise<Flooder> {
    const [own, other] = [`${PINGER}:${freeUdpPort(PINGER)}`, `${FLOODER}:${freeUdpPort(FLOODER)}`]
    const listen = `127.0.0.1:${freeUdpPort()}`
    const sendTo = kind.group ?? listen
    const transport = { name: 'tunnel', ...kind.transport(listen, own, other) }
    running = await lab.startSwitch({ transports: [transport, { name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
    pinger = UdpPeer.bind(own, { sendTo, ...kind.pinger })
    lab.onClose(async () => pinger.close())
    const settings = { kind: 'udp', frame: frame(MALLORY, MALLORY, 1400), from: other, sendTo } as const
    const flooder = await Flooder.start({ ...settings, ...kind.flooder })
    lab.onClose(() => flooder.stop())
    return flooder
  }

  /** Alice at the tunnel pings Bob, who is at another transport. */
  async function pingBob(): Promise<Pings> {
    const bob = lab.qemu('bob.sock', 'vms.sock')
    await bob.send(frame(BROADCAST, BOB))
    await pinger.send(frame(BROADCAST, ALICE))
    await eventually(
      () => running.api.fdb(),
      entries => [ALICE, BOB].every(mac => entries.some(entry => entry.mac === mac)),
      'Alice and Bob are known',
    )
    return pings({
      count: COUNT,
      everyMs: EVERY_MS,
      send: number => pinger.send(numbered(BOB, ALICE, number, 77)),
      arrived: () =>
        bob
          .receiveNow()
          .filter(bytes => bytes.length === 77 && sourceOf(bytes) === ALICE)
          .map(numberOf),
    })
  }

  const assertServed = ({ sent, lost, median }: Pings, flood: number) => {
    const seen = `${lost} of ${sent} lost, half took ${median.toFixed(1)} ms or more, beside ${flood} frames`
    if (isLong) console.log(seen)
    assert.ok(lost <= Math.ceil(sent / 100), seen)
    assert.ok(median < MEDIAN_MS, seen)
  }

  it('udp, ever new sources where peers are learned: honest peers stay, and the operator is told', async () => {
    const flooder = await start({
      name: '',
      transport: listen => ({ type: 'udp', listen, learnPeers: true, allowedSources, maxPeers: MAX_PEERS }),
      // Port 0 is a new one for each socket.
      flooder: { from: `${FLOODER}:0`, changing: true },
    })
    await pinger.send(frame(BROADCAST, ALICE))
    await eventually(
      () => running.api.ports(),
      ports => ports.some(({ peer }) => peer === pinger.address),
      'the honest peer is learned',
    )
    flooder.go(true)
    await eventually(
      async () => (await running.api.transport('tunnel')).drops['peer-limit'],
      refused => refused > 10 * MAX_PEERS,
      'sources are refused',
    )
    const result = await pingBob()
    flooder.go(false)
    assertServed(result, flooder.sent)
    const ports = (await running.api.ports()).filter(({ transport }) => transport === 'tunnel')
    assert.equal(ports.length, MAX_PEERS)
    assert.ok(ports.some(({ peer }) => peer === pinger.address))
    const { findings } = await running.api.transport('tunnel')
    assert.ok(
      findings.some(({ code }) => code === 'peer-limit'),
      JSON.stringify(findings),
    )
  })

  for (const kind of kinds) {
    it(kind.name, async () => {
      const flooder = await start(kind)
      flooder.go(true)
      const result = await pingBob()
      flooder.go(false)
      assertServed(result, flooder.sent)
    })
  }
})
