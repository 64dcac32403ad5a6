/** The library in this thread, call by call, once with each version of the configuration that older releases have. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { SlirpConfig } from '#src/config/interfaces/slirp.js'
import { NativeMemory } from '#src/os/native-memory.js'
import { Connections } from '#src/slirp/connections.js'
import { loadSlirp } from '#src/slirp/library.js'
import { PollSet } from '#src/slirp/poll-set.js'
import { SharedState } from '#src/slirp/shared-state.js'
import { SlirpStack } from '#src/slirp/stack.js'
import { ALICE, BROADCAST } from '../../support/frames.js'
import { viewOf } from '../../support/memory-at.js'
import { bytes4, dhcp, dhcpOptions, ethernet, etherType, ip, packetOf, protocol, udp } from '../../support/packets.js'
import { slirpNeeds } from '../../support/slirp-guest.js'
import { load } from '../config/load-text.js'

const RA = 134

for (const { configVersion, withGlib } of [1, 2, 3, 4].flatMap(configVersion => [
  { configVersion, withGlib: true },
  { configVersion, withGlib: false },
])) {
  const clock = withGlib ? 'the clock of glib' : 'a clock of ours'
  describe(`libslirp with version ${configVersion} of its configuration and ${clock}`, slirpNeeds(), () => {
    it('answers DHCP, and announces its IPv6 network by a timer', () => {
      const frames: Uint8Array[] = []
      let now = 1_000_000
      const { stack } = makeStack(configVersion, { frames, clock: () => now, withGlib })
      try {
        const message = udp(68, 67, dhcp(1, ALICE))
        const packet = ip(bytes4('0.0.0.0'), bytes4('255.255.255.255'), protocol.udp, message)
        const discover = ethernet(BROADCAST, ALICE, etherType.ipv4, packet)
        const memory = new NativeMemory(discover.length)
        memory.bytes.set(discover)
        stack.input(memory.address, discover.length)
        const offers = frames.map(packetOf).filter(each => each?.protocol === protocol.udp)
        assert.equal(dhcpOptions((offers[0]?.payload ?? new Uint8Array()).subarray(8)).get(53)?.[0], 2)

        frames.length = 0
        now += 3_600_000
        const polls = new PollSet()
        assert.equal(stack.fill(polls), 0, 'the timer is due')
        stack.dispatch(true)
        assert.ok(frames.map(packetOf).some(each => each?.protocol === protocol.icmpv6 && each.payload[0] === RA))
      } finally {
        stack.close()
      }
    })
  })
}

describe('an option that came later than the library', slirpNeeds(), () => {
  for (const [option, configVersion] of [
    ['outboundAddress: 127.0.0.1', 1],
    ['dns: false', 2],
    ['dhcp: false', 3],
  ] as const) {
    it(`is refused: ${option}`, () => {
      assert.throws(() => makeStack(configVersion, { options: option }), {
        name: 'OperatorError',
        message: /needs libslirp 4\.\d or newer/,
      })
    })
  }
})

interface Making {
  frames?: Uint8Array[]
  clock?: () => number
  withGlib?: boolean
  options?: string
}

function makeStack(
  configVersion: number,
  { frames = [], clock = () => 0, withGlib = true, options = 'mtu: 1500' }: Making,
) {
  const config = load(`interfaces: [{ name: nat, type: slirp, ${options} }]`).interfaces[0] as SlirpConfig
  const shared = new SharedState()
  const send = (address: number, length: number) => {
    frames.push(new Uint8Array(viewOf(address, length).buffer.slice(0)))
  }
  const library = withGlib ? loadSlirp() : { ...loadSlirp(), load64: null }
  return {
    shared,
    stack: new SlirpStack({ library, shared, config, send, clock, configVersion, connections: new Connections(16) }),
  }
}
