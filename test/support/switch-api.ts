/** What a running switch says of itself over HTTP, typed as the control plane made it. */
import assert from 'node:assert/strict'
import type { FdbEntryView, PortView, SwitchInfo, TransportView } from '#src/control/view.js'
import { type Exposition, parseExposition } from '../unit/http/parse-exposition.js'
import { eventually } from './eventually.js'

export class SwitchApi {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  get url(): string {
    return this.#url
  }

  /** Those that run. */
  async captures(): Promise<{ id: number }[]> {
    return (await this.#json<{ captures: { id: number }[] }>('/v1/captures')).captures
  }

  info(): Promise<SwitchInfo> {
    return this.#json('/v1/switch')
  }

  async ports(): Promise<PortView[]> {
    return (await this.#json<{ ports: PortView[] }>('/v1/ports')).ports
  }

  async transports(): Promise<TransportView[]> {
    return (await this.#json<{ transports: TransportView[] }>('/v1/transports')).transports
  }

  async transport(name: string): Promise<TransportView> {
    const transport = (await this.transports()).find(each => each.name === name)
    assert.ok(transport, `a transport ${name}`)
    return transport
  }

  /** Every entry, up to 10,000. */
  async fdb(): Promise<FdbEntryView[]> {
    return (await this.#json<{ entries: FdbEntryView[] }>('/v1/fdb?limit=10000')).entries
  }

  /** The port whose peer has this path; fails when there is none. */
  async portOf(peerPath: string): Promise<PortView> {
    const ports = await this.ports()
    const port = ports.find(({ peer }) => peer === peerPath)
    assert.ok(port, `a port of ${peerPath} among ${JSON.stringify(ports.map(({ name, peer }) => [name, peer]))}`)
    return port
  }

  async port(id: number): Promise<PortView> {
    return this.#json(`/v1/ports/${id}`)
  }

  async metrics(): Promise<Exposition> {
    const response = await this.#get('/metrics')
    return parseExposition(await response.text())
  }

  /** Resolves once the port is as wanted: it takes the switch up to a second to notice that a peer is gone. */
  portWhen(id: number, isWanted: (port: PortView) => boolean, what: string): Promise<PortView> {
    return eventually(() => this.port(id), isWanted, what)
  }

  async #json<Value>(path: string): Promise<Value> {
    return (await (await this.#get(path)).json()) as Value
  }

  async #get(path: string): Promise<Response> {
    const response = await fetch(this.#url + path, { signal: AbortSignal.timeout(5000) })
    assert.equal(response.status, 200, `GET ${path}`)
    return response
  }
}
