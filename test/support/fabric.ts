/**
 * An underlay for tunnels: a namespace for the switch and one for each remote, all on one bridge with an MTU of 1500,
 * and Linux's own VXLAN on the remotes.
 *
 *     remote 0 --- eth0 ---+
 *     remote 1 --- eth0 ---+--- bridge "under" (host: where the switch runs)
 */
import { Netns } from './netns.js'

export interface FabricOptions {
  remotes: number
  /** Of the underlay. */
  family?: 4 | 6
}

export class Fabric {
  /** Where the switch runs. */
  readonly host: Netns
  readonly remotes: Netns[] = []
  readonly #family: 4 | 6

  static make({ remotes, family = 4 }: FabricOptions): Fabric {
    const fabric = new Fabric(family)
    try {
      for (let i = 0; i < remotes; i++) fabric.#addRemote(i)
      return fabric
    } catch (error) {
      fabric.remove()
      throw error
    }
  }

  private constructor(family: 4 | 6) {
    this.#family = family
    this.host = Netns.make({ ipv6: family === 6 })
    this.host.ip('link', 'add', 'under', 'type', 'bridge')
    this.host.ip('link', 'set', 'under', 'up')
    this.#addAddress(this.host, 'under', this.hostAddress)
  }

  get hostAddress(): string {
    return this.#family === 4 ? '10.77.0.1' : 'fd77::1'
  }

  /** Of the underlay. */
  addressOf(remote: number): string {
    return this.#family === 4 ? `10.77.0.${remote + 2}` : `fd77::${remote + 2}`
  }

  /**
   * Gives a remote a kernel VXLAN device with an address inside the network, and the switch and the other remotes as
   * its remotes.
   */
  joinLinux(remote: number, vni: number, address: string, device = `vxlan${vni}`): void {
    const netns = this.remotes[remote] as Netns
    const local = this.addressOf(remote)
    netns.ip(...`link add ${device} type vxlan id ${vni} dstport 4789 local ${local} dev eth0`.split(' '))
    const others = this.remotes.map((_, i) => this.addressOf(i)).filter(other => other !== local)
    for (const other of [this.hostAddress, ...others]) {
      netns.run('bridge', ...`fdb append 00:00:00:00:00:00 dev ${device} dst ${other}`.split(' '))
    }
    netns.ip('address', 'add', address, 'dev', device)
    netns.ip('link', 'set', device, 'up')
  }

  /** A counter of a device of a remote, such as `rx_packets`. */
  counter(remote: number, device: string, what: string): number {
    return Number((this.remotes[remote] as Netns).run('cat', `/sys/class/net/${device}/statistics/${what}`))
  }

  remove(): void {
    for (const netns of [...this.remotes, this.host]) netns.remove()
  }

  #addRemote(i: number): void {
    const netns = Netns.make({ ipv6: this.#family === 6 })
    this.remotes.push(netns)
    this.host.cable(`r${i}`, netns, 'eth0')
    this.host.ip('link', 'set', `r${i}`, 'master', 'under')
    this.#addAddress(netns, 'eth0', this.addressOf(i))
  }

  #addAddress(netns: Netns, device: string, address: string): void {
    // Without looking for duplicates first, an IPv6 address can be used at once.
    const more = this.#family === 4 ? [] : ['nodad']
    netns.ip('address', 'add', `${address}/${this.#family === 4 ? 24 : 64}`, 'dev', device, ...more)
  }
}
