/**
 * stream, connecting: the main thread's half. It decides when and where; the data plane's half connects and says what
 * became of it.
 *
 *     endpoint: idle --> [back-off] --> look the name up --> dial --> connected --> idle ...
 */
import { lookup } from 'node:dns/promises'
import type { StreamConnectConfig } from '../../config/config.js'
import { formatTcp, parseStreamAddress } from '../../config/stream-address.js'
import type { EndpointMessage, EndpointSpec } from '../../dataplane/messages.js'
import { encodeInetAddress } from '../../os/sockaddr-in.js'
import { encodeUnixAddress } from '../../os/sockaddr-un.js'
import { parseIp } from '../../wire/ip-prefix.js'
import type { Facts, Transport } from '../transport.js'
import { Backoff } from './backoff.js'
import { commonOptions, type StreamContext } from './common-options.js'
import { type ConnectOptions, STREAM, type StreamDowncall, type StreamUpcall } from './options.js'

interface Target {
  family: number
  address: Uint8Array
}

export async function openStreamDialler(config: StreamConnectConfig, context: StreamContext): Promise<StreamDialler> {
  return new StreamDialler(config, context)
}

export class StreamDialler implements Transport<StreamConnectConfig> {
  config: StreamConnectConfig
  readonly #context: StreamContext
  readonly #backoff = new Backoff()
  #timer: NodeJS.Timeout | undefined
  /** Which of the addresses of a name is next. */
  #turn = 0
  /** Why the last attempt failed; null when it was not reported yet, or there was none. */
  #trouble: string | null = null
  #closed = false

  constructor(config: StreamConnectConfig, context: StreamContext) {
    this.config = config
    this.#context = context
  }

  get where(): string {
    return this.config.connect
  }

  facts(): Facts {
    return { framing: this.config.framing, trouble: this.#trouble }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> {
    const options: ConnectOptions = { ...commonOptions(this.config), mode: 'connect' }
    return { name: this.config.name, kind: STREAM, index, options }
  }

  message(message: EndpointMessage): void {
    const upcall = message as unknown as StreamUpcall
    if (this.#closed) return
    if (upcall.type === 'connected') this.#connected()
    else if (upcall.type === 'idle') this.#idle(upcall.error, upcall.wasUp)
  }

  canBecome(config: StreamConnectConfig): boolean {
    return JSON.stringify(rigid(config)) === JSON.stringify(rigid(this.config))
  }

  update(config: StreamConnectConfig): void {
    this.config = config
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #connected(): void {
    this.#backoff.reset()
    this.#trouble = null
    const { connect } = this.config
    this.#context.report({ level: 'info', event: 'connected', message: `connected to ${connect}` })
  }

  #idle(error: string | null, wasUp: boolean): void {
    const { connect } = this.config
    const { report } = this.#context
    if (wasUp) report({ level: 'warn', event: 'disconnected', message: `no longer connected to ${connect}: ${error}` })
    else if (error !== null && error !== this.#trouble) {
      // Once for each reason, not for each attempt.
      report({ level: 'warn', event: 'connect-failed', message: `cannot connect to ${connect}: ${error}; trying on` })
    }
    this.#trouble = error
    clearTimeout(this.#timer)
    // A data plane that starts asks at once; whoever lost its peer or did not find it waits.
    const waitMs = error === null ? 0 : this.#backoff.next()
    this.#timer = setTimeout(() => {
      this.#dial().catch(failure => this.#idle(String(failure), false))
    }, waitMs)
  }

  async #dial(): Promise<void> {
    let target: Target | undefined
    try {
      target = await this.#resolve()
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (!this.#closed) this.#idle(code ?? message, false)
      return
    }
    if (this.#closed) return
    const downcall: StreamDowncall = { type: 'dial', ...target, peer: this.config.connect }
    this.#context.send({ ...downcall })
  }

  async #resolve(): Promise<Target> {
    const { layout } = this.#context.os
    const address = parseStreamAddress(this.config.connect)
    if (address?.type !== 'tcp') {
      return { family: layout.constants.AF_UNIX, address: encodeUnixAddress(layout, this.config.connect) }
    }
    const { host, port } = address
    const found = parseIp(host) === undefined ? await lookup(host, { all: true }) : [{ address: host }]
    const ip = parseIp(found[this.#turn++ % found.length].address)
    if (ip === undefined) throw new Error(`${formatTcp(host, port)} has no address`)
    const { AF_INET, AF_INET6 } = layout.inet
    return {
      family: ip.length === 4 ? AF_INET : AF_INET6,
      address: encodeInetAddress(layout, { ip, port, scope: 0 }),
    }
  }
}

/** What cannot change while it is open; the rest can. */
function rigid({ role, connect, framing, keepAliveSeconds, port }: StreamConnectConfig): unknown {
  return [role, connect, framing, keepAliveSeconds, port.fdb.static]
}
