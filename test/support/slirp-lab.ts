/**
 * A switch with a slirp interface on a host that is a network namespace with a loopback and no way out, and guests made
 * of test code on its unixgram transport. What a hostile guest sends ends here.
 */
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { Lab } from './lab.js'
import { Netns, netnsNeeds } from './netns.js'
import { requirements } from './requires.js'
import { getJson } from './run-in.js'
import { SlirpGuest, slirpNeeds } from './slirp-guest.js'
import type { SwitchProcess } from './switch-process.js'

export const slirpLabSkip = slirpNeeds().skip || requirements(netnsNeeds).skip

/** Of the interface, as the API shows it. */
export interface SlirpFacts {
  readonly connections: number
  readonly restarts: number
  readonly refusedFrames: number
  /** `reason count`. */
  readonly refusals: readonly string[]
}

export class SlirpLab {
  readonly netns: Netns
  readonly running: SwitchProcess
  readonly #lab: Lab
  readonly #closers: (() => unknown)[] = []
  #guests = 0

  /** `options` of the interface; the host's loopback is within reach of guests unless they say otherwise. */
  static async open(options: object = {}): Promise<SlirpLab> {
    const netns = Netns.make({ ipv6: true })
    const lab = await Lab.open()
    lab.onClose(async () => netns.remove())
    try {
      const running = await lab.startSwitch(
        {
          interfaces: [{ name: 'nat', type: 'slirp', hostLoopback: true, dns: false, ...options }],
          transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }],
        },
        { through: ['ip', 'netns', 'exec', netns.name] },
      )
      return new SlirpLab(netns, lab, running)
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  private constructor(netns: Netns, lab: Lab, running: SwitchProcess) {
    this.netns = netns
    this.#lab = lab
    this.running = running
  }

  /** A guest with a port of its own; what it is sent is read until the lab is closed. */
  guest(mac: string): SlirpGuest {
    const peer = this.#lab.qemu(`guest${++this.#guests}.sock`, 'vms.sock')
    let last: Promise<void> = Promise.resolve()
    const guest = new SlirpGuest(mac, frame => {
      last = last.then(() => peer.send(frame)).catch(() => {})
    })
    let isPumping = true
    const pump = async () => {
      while (isPumping) for (const frame of await peer.receiveMany(1, 50).catch(() => [])) guest.deliver(frame)
    }
    const pumped = pump()
    this.#closers.push(async () => {
      isPumping = false
      await pumped
    })
    return guest
  }

  /** A program of Node in the namespace, that prints the port it listens on first. Resolves with that port. */
  async server(script: string): Promise<number> {
    const child = this.netns.spawn(process.execPath, '-e', script)
    this.#closers.push(() => child.kill('SIGKILL'))
    const [line] = (await once(child.stdout as Readable, 'data')) as [Buffer]
    return Number(String(line).trim())
  }

  async facts(): Promise<SlirpFacts> {
    const { facts } = await this.api<{ facts: SlirpFacts }>('/v1/interfaces/nat')
    return facts
  }

  api<Value>(path: string): Promise<Value> {
    return getJson<Value>(this.netns, `${this.running.url}${path}`)
  }

  /** UDP sockets of the host, whichever process has them. */
  udpSockets(): number {
    const lines = (file: string) => this.netns.run('cat', `/proc/net/${file}`).trim().split('\n').length - 1
    return lines('udp') + lines('udp6')
  }

  async close(): Promise<void> {
    await Promise.all(this.#closers.map(close => close()))
    await this.#lab.close()
  }
}

/** Says how long each datagram was. */
export const lengthServer = `
const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (data, from) => socket.send(String(data.length) + ' ' + data[data.length - 1], from.port, from.address))
socket.bind(0, '127.0.0.1', () => console.log(socket.address().port))`

/** Takes connections, and never closes one, also when the other end has. */
export const silentServer = `
const server = require('node:net').createServer({ allowHalfOpen: true }, socket => socket.on('error', () => {}).resume())
server.listen(0, '127.0.0.1', 511, () => console.log(server.address().port))`
