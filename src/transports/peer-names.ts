/**
 * Peers that are configured by name: looked up when the transport opens, and again every minute, since addresses behind
 * names change. A name that cannot be looked up any more keeps the address it had.
 */
import { lookup } from 'node:dns/promises'
import { parseHostPort } from '../config/inet-address.js'
import { OperatorError } from '../errors.js'
import type { Layout } from '../os/layout.js'
import { encodeInetAddress, type InetAddress } from '../os/sockaddr-in.js'
import type { IpFamily } from '../os/udp-socket.js'
import { parseIp } from '../wire/ip-prefix.js'
import { formatInetAddress, literalAddress } from './inet-text.js'

const REFRESH_MS = 60_000

export interface NamedPeer {
  /** As it is configured. */
  readonly key: string
  readonly address: InetAddress
  /** The same, raw. */
  readonly raw: Uint8Array
}

export class PeerNames {
  readonly #layout: Layout
  readonly #family: IpFamily
  readonly #changed: (peers: readonly NamedPeer[]) => void
  readonly #timer: NodeJS.Timeout
  #peers: readonly NamedPeer[] = []
  #refreshing = false
  #closed = false

  /** `changed` is told when an address behind a name is another one. */
  constructor(layout: Layout, family: IpFamily, changed: (peers: readonly NamedPeer[]) => void) {
    this.#layout = layout
    this.#family = family
    this.#changed = changed
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS).unref()
  }

  get peers(): readonly NamedPeer[] {
    return this.#peers
  }

  /** Throws OperatorError when a name has no address, or two are one. */
  async set(keys: readonly string[]): Promise<void> {
    this.#peers = distinct(await Promise.all(keys.map(key => this.#resolve(key))))
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
  }

  async #resolve(key: string): Promise<NamedPeer> {
    const { host, family, port } = parseHostPort(key) as NonNullable<ReturnType<typeof parseHostPort>>
    if (family !== null) return this.#named(key, literalAddress(key))
    try {
      const { address } = await lookup(host, { family: this.#family })
      return this.#named(key, { ip: parseIp(address) as Uint8Array, port: port as number, scope: 0 })
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? String(error)
      throw new OperatorError(`"${host}" has no IPv${this.#family} address (${reason})`, { cause: error })
    }
  }

  async #refresh(): Promise<void> {
    const names = this.#peers.filter(({ key }) => parseHostPort(key)?.family === null)
    if (names.length === 0 || this.#refreshing) return
    this.#refreshing = true
    const asked = this.#peers
    const found = await Promise.all(asked.map(peer => this.#resolve(peer.key).catch(() => peer)))
    this.#refreshing = false
    // Configured anew meanwhile, or two names that share an address now: what was known stays.
    if (this.#closed || this.#peers !== asked || isAmbiguous(found)) return
    if (found.every((peer, i) => labelOf(peer) === labelOf(asked[i]))) return
    this.#peers = found
    this.#changed(found)
  }

  #named(key: string, address: InetAddress): NamedPeer {
    return { key, address, raw: encodeInetAddress(this.#layout, address) }
  }
}

const labelOf = ({ address }: NamedPeer) => formatInetAddress(address)

function isAmbiguous(peers: readonly NamedPeer[]): boolean {
  return new Set(peers.map(labelOf)).size < peers.length
}

function distinct(peers: readonly NamedPeer[]): readonly NamedPeer[] {
  const taken = new Map<string, string>()
  for (const peer of peers) {
    const label = labelOf(peer)
    const first = taken.get(label)
    if (first !== undefined) throw new OperatorError(`"${first}" and "${peer.key}" are both ${label}`)
    taken.set(label, peer.key)
  }
  return peers
}
