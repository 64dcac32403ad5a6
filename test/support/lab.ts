/**
 * A folder, a switch in a process of its own, and what is plugged into it; all ended and removed by `close`, whatever
 * state the test left it in.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RawPeer, type RawPeerOptions } from './raw-peer.js'
import { SwitchProcess, type SwitchProcessOptions } from './switch-process.js'

export class Lab {
  readonly folder: string
  readonly #peers: RawPeer[] = []
  readonly #switches: SwitchProcess[] = []
  readonly #closers: (() => Promise<unknown>)[] = []

  static async open(): Promise<Lab> {
    return new Lab(await mkdtemp(join(tmpdir(), 'tapswitch-lab-')))
  }

  private constructor(folder: string) {
    this.folder = folder
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** Sockets with relative paths are in the lab's folder; HTTP is on a free port unless `config` says otherwise. */
  async startSwitch(config: object, options: SwitchProcessOptions = {}): Promise<SwitchProcess> {
    const started = await SwitchProcess.start(this.folder, { http: { listen: '127.0.0.1:0' }, ...config }, options)
    this.#switches.push(started)
    return started
  }

  /** A peer as QEMU is one: bound to `name`, sending by path. */
  qemu(name: string, sendTo: string, options: RawPeerOptions = {}): RawPeer {
    return this.#keep(RawPeer.bind(this.path(name), { sendTo: this.path(sendTo), ...options }))
  }

  /** A peer as vfkit is one: bound to `name`, connected, handshake sent. */
  vfkit(name: string, connectTo: string, options: RawPeerOptions = {}): RawPeer {
    return this.#keep(
      RawPeer.bind(this.path(name), { connectTo: this.path(connectTo), handshake: 'vfkit', ...options }),
    )
  }

  /** Called by `close`, before the switch is stopped. */
  onClose(closer: () => Promise<unknown>): void {
    this.#closers.push(closer)
  }

  async close(): Promise<void> {
    await Promise.all(this.#closers.map(close => close()))
    for (const peer of this.#peers) peer.close()
    await Promise.all(this.#switches.map(each => each.stop()))
    await rm(this.folder, { recursive: true })
  }

  #keep(peer: RawPeer): RawPeer {
    this.#peers.push(peer)
    return peer
  }
}
