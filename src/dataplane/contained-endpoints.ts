/**
 * The endpoints of a data plane, each behind a guard, and what becomes of one that fails.
 *
 * A failed endpoint is detached at the end of the turn in which it failed, when no batch or flush is under way: its
 * ports leave the switch core and lose what waited for them (counted as `error`), its descriptors are not watched any
 * more, the read buffers it held are free again. Its ports keep their places and the main thread keeps their records,
 * so the main thread can make the endpoint anew from what the old one had reported, exactly as a new data plane does
 * after a crash. Nothing is closed here: the next endpoint takes the descriptors over.
 */
import type { DescriptorTable } from './descriptor-table.js'
import type { Egress } from './egress.js'
import type { Endpoint, EndpointHost } from './endpoint.js'
import type { FramePool } from './frame-pool.js'
import { type Failure, Guard } from './guard.js'
import type { EndpointSpec, Event } from './messages.js'
import type { PortTable } from './port-table.js'

/** Makes the data plane's half of a transport. */
export type EndpointFactory = (spec: EndpointSpec, host: EndpointHost) => Endpoint

export interface ContainedEndpointsParts {
  readonly factory: EndpointFactory
  readonly pool: FramePool
  readonly ports: PortTable
  readonly descriptors: DescriptorTable
  readonly egress: Egress
  readonly emit: (event: Event) => void
  readonly clock: () => number
}

export class ContainedEndpoints {
  readonly #parts: ContainedEndpointsParts
  readonly #serving = new Map<string, Guard>()
  readonly #guards = new WeakMap<Endpoint, Guard>()
  /** Failed in this turn, and not detached yet. */
  readonly #failed: Guard[] = []
  #numbers = 0

  constructor(parts: ContainedEndpointsParts) {
    this.#parts = parts
  }

  /** True when `detachFailed` has something to do. */
  get hasFailed(): boolean {
    return this.#failed.length > 0
  }

  /** Undefined where there is none of this name that serves. */
  get(name: string): Guard | undefined {
    return this.#serving.get(name)
  }

  /** The guard of an endpoint; what stands for it in tables. */
  guardOf(endpoint: Endpoint): Guard {
    const guard = this.#guards.get(endpoint)
    if (guard === undefined) throw new Error('this endpoint is not one of this data plane')
    return guard
  }

  /** Makes an endpoint and opens it. Returns why it failed, having detached it; null when it serves. */
  attach(spec: EndpointSpec, host: EndpointHost): string | null {
    const { factory, pool, ports, emit } = this.#parts
    if (this.#serving.has(spec.name)) return `${spec.name} is attached already`
    for (const port of spec.ports) ports.reserve(spec.name, port)
    let endpoint: Endpoint
    try {
      endpoint = factory(spec, host)
    } catch (error) {
      return describe({ method: 'constructor', error })
    }
    const guard = new Guard(spec.name, ++this.#numbers, endpoint, pool, failed => this.#failed.push(failed))
    this.#guards.set(endpoint, guard)
    this.#serving.set(spec.name, guard)
    guard.open()
    if (guard.failure !== null) {
      this.#failed.splice(this.#failed.indexOf(guard), 1)
      this.#detach(guard)
      return describe(guard.failure)
    }
    emit({ type: 'endpoint-opened', name: spec.name })
    return null
  }

  /** Closes an endpoint and its ports for good; one that failed has only places left. */
  close(name: string): void {
    const guard = this.#serving.get(name)
    if (guard !== undefined) {
      guard.close()
      if (guard.failure !== null) this.detachFailed()
      this.#serving.delete(name)
    }
    this.#parts.ports.releasePlaces(name)
  }

  closeAll(): void {
    for (const guard of this.#serving.values()) guard.close()
  }

  tick(now: number): void {
    for (const guard of this.#serving.values()) guard.tick(now)
  }

  /** Has every endpoint report what the next data plane needs. */
  handOver(): void {
    const { egress } = this.#parts
    for (const guard of this.#serving.values()) guard.handOver(port => egress.head(port))
  }

  /** At the end of a turn: detaches those that failed in it, and tells the main thread. */
  detachFailed(): void {
    const { emit, clock } = this.#parts
    for (const guard of this.#failed.splice(0)) {
      this.#detach(guard)
      const { error } = guard.failure as Failure
      const stack = error instanceof Error ? (error.stack ?? null) : null
      emit({
        type: 'endpoint-failed',
        name: guard.name,
        reason: describe(guard.failure as Failure),
        stack,
        at: clock(),
      })
    }
  }

  #detach(guard: Guard): void {
    const { ports, descriptors, egress } = this.#parts
    guard.finish(port => egress.head(port))
    ports.suspend(guard)
    descriptors.drop(guard)
    guard.reclaimBuffers()
    this.#serving.delete(guard.name)
  }
}

/** An Error of `open` says it all; of other methods, the method helps to find the place. */
function describe({ method, error }: Failure): string {
  const message = error instanceof Error ? error.message : String(error)
  return method === 'open' || method === 'constructor' ? message : `${method}: ${message}`
}
