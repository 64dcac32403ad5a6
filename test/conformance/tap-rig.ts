/**
 * A real data plane with a TAP for each station, in a namespace of the test; the station is a packet socket on the TAP.
 */
import type { TapConfig } from '#src/config/interfaces/tap.js'
import { openTap } from '#src/tap/transport.js'
import type { Transport, TransportContext } from '#src/transports/transport.js'
import { Netns } from '../support/netns.js'
import { PacketSocket, setLink } from '../support/packet-socket.js'
import { DataPlaneRig } from './data-plane-rig.js'
import type { Harness, Station } from './rig.js'

export const tapHarness: Harness = {
  // The kernel sends none.
  runts: [],
  trueLengths: false,
  // A frame that is written to a TAP is the host's, whether anybody there reads it or not.
  backPressure: false,
  start: async options => {
    const rig = new TapRig(options)
    await rig.start()
    return rig
  },
}

/** Frames that the kernel keeps for us while the data plane is replaced; its default is 1,000. */
const QUEUE_FRAMES = 20_000

class TapRig extends DataPlaneRig<TapConfig> {
  readonly #netns = Netns.make()
  readonly #sockets = new Map<number, PacketSocket>()

  async join(number: number): Promise<Station> {
    const name = `tap${number}`
    if (this.transports.has(name)) setLink(this.#netns.name, name, true)
    else await this.attach(this.#config(name))
    this.records.set(number, this.portNamed(name))
    await this.until(`station ${number} is up`, () => this.port(number).up)
    this.#sockets.get(number)?.close()
    const socket = PacketSocket.on(this.#netns.name, name)
    this.#sockets.set(number, socket)
    await this.introduce(number, hello => socket.send([hello]))
    socket.forget()
    return {
      send: frames => socket.send(frames),
      receive: count => socket.receive(count),
      stall: () => {},
      resume: () => {},
      leave: () => setLink(this.#netns.name, name, false),
    }
  }

  override async stop(): Promise<string[]> {
    const left = [...(await super.stop()), ...linksOf(this.#netns).filter(link => link !== 'lo')]
    this.#netns.remove()
    return left
  }

  protected async openTransport(config: TapConfig, context: TransportContext): Promise<Transport<TapConfig>> {
    const tap = await openTap(config, context)
    this.#netns.ip('link', 'set', config.name, 'txqueuelen', String(QUEUE_FRAMES))
    return tap
  }

  protected dismiss(): void {
    for (const socket of this.#sockets.values()) socket.close()
  }

  /** The MTU is no limit here, so that what is too long for the port gets as far as the port. */
  #config(name: string): TapConfig {
    return {
      ...{ type: 'tap', name, mode: 'host', device: name, netns: this.#netns.name },
      ...{ mac: null, mtu: 2 * this.options.maxFrameSize, persistent: false, owner: null },
      ...{ address: null, dhcp: null, bridge: null, createBridge: false },
      port: this.policy,
    }
  }
}

const linksOf = (netns: Netns) =>
  (JSON.parse(netns.ip('-json', 'link', 'show')) as { ifname: string }[]).map(({ ifname }) => ifname)
