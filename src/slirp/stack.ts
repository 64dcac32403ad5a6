/**
 * One TCP/IP stack of libslirp. Everything that happens in it happens inside one of the calls made here, and what it
 * wants to say comes back through callbacks during that call.
 */
import koffi from 'koffi'
import { type Forward, parseForwardEnd } from '../config/forward-end.js'
import type { SlirpConfig } from '../config/interfaces/slirp.js'
import { OperatorError } from '../errors.js'
import { errno } from '../os/libc.js'
import { NativeMemory } from '../os/native-memory.js'
import { formatIpv4 } from '../wire/ip-address.js'
import { type Ipv4Interface, netmask, parseIpv4Interface } from '../wire/ipv4-network.js'
import { addPollFunction, Callbacks, callTimer, type Handlers, returnedFunction } from './callbacks.js'
import type { Connections } from './connections.js'
import type { SlirpLibrary } from './library.js'
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, type PollSet } from './poll-set.js'
import type { SharedState } from './shared-state.js'
import { networkOrder, networkWords, socketAddress } from './socket-address.js'
import { Timers } from './timers.js'

/** A turn of the loop ends at least this often. Milliseconds. */
const LONGEST_WAIT_MS = 1000
const UDP_FLAG = 1
const V6ONLY_FLAG = 2

/** SLIRP_POLL_IN, OUT, PRI, ERR, HUP (libslirp.h) are 1, 2, 4, 8, 16; poll(2) swaps the middle two. */
const toPoll = Array.from({ length: 32 }, (_, bits) => translated(bits, [POLLIN, POLLOUT, POLLPRI, POLLERR, POLLHUP]))
const fromPoll = Array.from({ length: 32 }, (_, bits) => translated(bits, [1, 4, 2, 8, 16]))

function translated(bits: number, to: readonly number[]): number {
  return to.reduce((sum, bit, i) => (((bits >> i) & 1) === 1 ? sum | bit : sum), 0)
}

export interface StackParts {
  readonly library: SlirpLibrary
  readonly shared: SharedState
  readonly config: SlirpConfig
  /** Takes a copy of a frame for the guests. */
  readonly send: (address: number, length: number) => void
  /** Hears of every socket that opens and closes. */
  readonly connections: Connections
  /** Milliseconds. */
  readonly clock: () => number
  /** At most what the library has; default that. */
  readonly configVersion?: number
}

export class SlirpStack {
  readonly #library: SlirpLibrary
  readonly #shared: SharedState
  readonly #clock: () => number
  readonly #stack: number
  readonly #callbacks: Callbacks
  readonly #timers = new Timers()
  readonly #timeout = new NativeMemory(8)
  readonly #addPoll: bigint
  readonly #returned: bigint
  /** Addresses that libslirp keeps pointers to. */
  readonly #outbound: NativeMemory[] = []
  readonly #connections: Connections
  #polls: PollSet | null = null
  #isClosed = false

  /** Throws OperatorError when the library is too old for an option. */
  constructor({
    library,
    shared,
    config,
    send,
    clock,
    connections,
    configVersion = library.configVersion,
  }: StackParts) {
    requireOptions(config, configVersion, library.version)
    this.#library = library
    this.#shared = shared
    this.#clock = clock
    this.#connections = connections
    this.#tick()
    const handlers: Handlers = {
      sendPacket: send,
      guestError: () => shared.guestError(),
      socketOpened: fd => connections.opened(fd),
      socketClosed: fd => connections.closed(fd),
      newTimer: (id, run, opaque) => this.#timers.add(id, run, opaque),
      freeTimer: handle => this.#timers.free(handle),
      setTimer: (handle, at) => this.#timers.set(handle, at),
    }
    this.#callbacks = new Callbacks(shared, handlers, library.load64)
    this.#addPoll = koffi.register(
      (fd: number, events: number) =>
        (this.#polls as PollSet).add(fd, connections.isPaused(fd) ? 0 : toPoll[events & 31]),
      addPollFunction,
    )
    this.#returned = koffi.register(
      (place: number) => fromPoll[(this.#polls as PollSet).returned(place) & 31],
      returnedFunction,
    )
    this.#stack = library.create(this.#configuration(config, configVersion), shared.address, shared.clockAddress)
    if (this.#stack === 0) throw new Error('libslirp refused its configuration')
  }

  /** A frame from a guest; C reads it before this returns. */
  input(address: number, length: number): void {
    this.#library.input(this.#stack, address, length)
  }

  /** Adds the host's sockets to the set; returns how long to wait for them at most, in milliseconds. */
  fill(polls: PollSet): number {
    this.#polls = polls
    this.#timeout.words[0] = LONGEST_WAIT_MS
    this.#library.fill(this.#stack, this.#timeout.address, Number(this.#addPoll), 0)
    return Math.ceil(Math.min(this.#timeout.words[0] >>> 0, LONGEST_WAIT_MS, this.#timers.untilNext(this.#clock())))
  }

  /** Serves the sockets that are ready, and whatever is due. With `isValid` false, only what is due. */
  dispatch(isValid: boolean): void {
    this.#tick()
    this.#library.dispatch(this.#stack, isValid ? 0 : 1, Number(this.#returned), 0)
    for (const { id, run, opaque } of this.#timers.due(this.#clock())) {
      if (run !== 0) callTimer(run, opaque)
      else this.#library.handleTimer?.(this.#stack, id, opaque)
    }
  }

  /** Returns 0 or a negated error number. */
  addForward(forward: Forward): number {
    return this.#connections.listening(forward.protocol, () => this.#listen(forward))
  }

  #listen(forward: Forward): number {
    const { host, guest, isUdp } = ends(forward)
    const { addForward, addForward4 } = this.#library
    let result: number
    if (addForward !== null) {
      const from = socketAddress(host)
      const to = socketAddress(guest)
      const flags = (isUdp ? UDP_FLAG : 0) | (host.family === 'ipv6' ? V6ONLY_FLAG : 0)
      result = addForward(this.#stack, from.memory.address, from.length, to.memory.address, to.length, flags)
    } else if (host.family === 'ipv4' && guest.family === 'ipv4') {
      const udp = isUdp ? 1 : 0
      result = addForward4(
        this.#stack,
        udp,
        networkOrder(host.address),
        host.port,
        networkOrder(guest.address),
        guest.port,
      )
    } else {
      throw new OperatorError(`libslirp ${this.#library.version} forwards IPv4 only; 4.7 or newer is needed`)
    }
    return result < 0 ? -errno() : 0
  }

  /** Returns whether there was one. */
  removeForward(forward: Pick<Forward, 'protocol' | 'host'>): boolean {
    const { host, isUdp } = ends({ ...forward, guest: '0.0.0.0:1' })
    const { removeForward, removeForward4 } = this.#library
    if (removeForward !== null) {
      const from = socketAddress(host)
      return removeForward(this.#stack, from.memory.address, from.length, isUdp ? UDP_FLAG : 0) >= 0
    }
    if (host.family !== 'ipv4') return false
    return removeForward4(this.#stack, isUdp ? 1 : 0, networkOrder(host.address), host.port) >= 0
  }

  /** Closes all connections and forwards. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#library.cleanup(this.#stack)
    this.#callbacks.close()
    koffi.unregister(this.#addPoll)
    koffi.unregister(this.#returned)
  }

  #tick(): void {
    this.#shared.now = Math.round(this.#clock() * 1e6)
  }

  #configuration(config: SlirpConfig, version: number): object {
    const { address, prefixLength } = parseIpv4Interface(config.network) as Ipv4Interface
    const zero = [0, 0, 0, 0]
    const { ipv6 } = config
    // DHCP names a name server in any case. Without one of ours it is the gateway, which answers where the host's
    // loopback is open.
    const dns = config.dns === false ? config.gateway : config.dns
    return {
      version,
      restricted: config.restricted ? 1 : 0,
      in_enabled: true,
      vnetwork: networkOrder(formatIpv4(address)),
      vnetmask: networkOrder(formatIpv4(netmask(prefixLength))),
      vhost: networkOrder(config.gateway),
      in6_enabled: ipv6 !== false,
      vprefix_addr6: ipv6 === false ? zero : networkWords(ipv6.prefix.replace('/64', '')),
      vprefix_len: 64,
      vhost6: ipv6 === false ? zero : networkWords(ipv6.gateway),
      vhostname: config.hostname,
      tftp_server_name: null,
      tftp_path: null,
      bootfile: null,
      vdhcp_start: networkOrder(config.dhcpStart),
      vnameserver: networkOrder(dns),
      vnameserver6: ipv6 === false ? zero : networkWords(ipv6.dns),
      vdnssearch: this.#searchList(config.search),
      vdomainname: config.domain,
      if_mtu: config.mtu,
      if_mru: config.mtu,
      disable_host_loopback: !config.hostLoopback,
      enable_emu: false,
      outbound_addr: this.#outboundAddress('ipv4', config.outboundAddress),
      outbound_addr6: this.#outboundAddress('ipv6', config.outboundAddress6),
      disable_dns: config.dns === false,
      disable_dhcp: !config.dhcp,
    }
  }

  #outboundAddress(family: 'ipv4' | 'ipv6', address: string | null): number {
    if (address === null) return 0
    const { memory } = socketAddress({ family, address, port: 0 })
    this.#outbound.push(memory)
    return memory.address
  }

  /** `const char **`, ended by a null pointer; 0 for none. */
  #searchList(domains: readonly string[]): number {
    if (domains.length === 0) return 0
    const list = new NativeMemory((domains.length + 1) * 8)
    for (const [i, domain] of domains.entries()) {
      const text = new NativeMemory(domain.length + 1)
      text.bytes.set(Buffer.from(domain))
      list.writePointer(i * 8, text.address)
      this.#outbound.push(text)
    }
    this.#outbound.push(list)
    return list.address
  }
}

function ends({ protocol, host, guest }: Forward) {
  const from = parseForwardEnd(host)
  const to = parseForwardEnd(guest)
  if (from === undefined || to === undefined) throw new Error(`not a forward: ${host} to ${guest}`)
  return { host: from, guest: to, isUdp: protocol === 'udp' }
}

/** Options that came with later versions of the configuration. */
export function requireOptions(config: SlirpConfig, version: number, release: string): void {
  const wanted = [
    {
      option: 'outboundAddress',
      version: 2,
      since: '4.2',
      isUsed: config.outboundAddress !== null || config.outboundAddress6 !== null,
    },
    { option: 'dns: false', version: 3, since: '4.3', isUsed: config.dns === false },
    { option: 'dhcp: false', version: 4, since: '4.7', isUsed: !config.dhcp },
  ]
  const missing = wanted.find(each => each.isUsed && each.version > version)
  if (missing === undefined) return
  throw new OperatorError(`${missing.option} needs libslirp ${missing.since} or newer; this is ${release}`)
}
