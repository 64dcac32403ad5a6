/**
 * `type: auto`: the best uplink this machine offers, tried in order. What cannot be had is remembered with its reason
 * and shown among the facts; where nothing can be had, the switch runs all the same, and the guests have each other.
 */

import type { InterfaceConfig } from '../config/config.js'
import type { Forward } from '../config/forwards.js'
import type { AutoConfig } from '../config/interfaces/auto.js'
import type { EndpointMessage, EndpointSpec } from '../dataplane/messages.js'
import { OperatorError } from '../errors.js'
import { slirpIsMissing } from '../slirp/library.js'
import { openSlirp } from '../slirp/transport.js'
import type { Facts, Transport, TransportContext } from '../transports/transport.js'
import { vmnetLibraryPath } from '../vmnet/library.js'
import { openVmnet } from '../vmnet/transport.js'

/** One that was chosen, under the name and type of the configuration. */
class Chosen implements Transport<AutoConfig> {
  config: AutoConfig
  readonly #inner: Transport
  readonly #innerConfig: (config: AutoConfig) => InterfaceConfig
  readonly #why: string
  readonly forwards?: () => readonly Forward[]
  readonly addForward?: (forward: Forward) => Promise<void>
  readonly removeForward?: (forward: Pick<Forward, 'protocol' | 'host'>) => Promise<boolean>

  constructor(config: AutoConfig, inner: Transport, innerConfig: (config: AutoConfig) => InterfaceConfig, why: string) {
    this.config = config
    this.#inner = inner
    this.#innerConfig = innerConfig
    this.#why = why
    if (inner.forwards) this.forwards = () => inner.forwards?.() ?? []
    if (inner.addForward) this.addForward = inner.addForward.bind(inner)
    if (inner.removeForward) this.removeForward = inner.removeForward.bind(inner)
  }

  get where(): string {
    return this.#inner.where
  }

  facts(): Facts {
    return { chosen: this.#inner.config.type, why: this.#why, ...this.#inner.facts?.() }
  }

  spec(index: number): Omit<EndpointSpec, 'ports'> | null {
    return this.#inner.spec(index)
  }

  message(message: EndpointMessage): void {
    this.#inner.message(message)
  }

  canBecome(config: AutoConfig): boolean {
    const next = this.#innerConfig(config)
    return 'forwards' in next && next.forwards.length === config.forwards.length && this.#inner.canBecome(next)
  }

  update(config: AutoConfig): void {
    this.config = config
    this.#inner.update(this.#innerConfig(config))
  }

  close(): void | Promise<void> {
    return this.#inner.close()
  }
}

/** An interface without a port. */
class NoUplink implements Transport<AutoConfig> {
  config: AutoConfig
  readonly where = 'none'
  readonly #why: string

  constructor(config: AutoConfig, why: string) {
    this.config = config
    this.#why = why
  }

  facts(): Facts {
    return { chosen: null, why: this.#why }
  }

  spec(): null {
    return null
  }

  message(): void {}

  /** So that a changed configuration is another try. */
  canBecome(): boolean {
    return false
  }

  update(config: AutoConfig): void {
    this.config = config
  }

  close(): void {}
}

interface Candidate {
  /**
   * Opens it, or says why this machine does not offer it; null where that goes without saying. Throws what has to be
   * mended.
   */
  open(config: AutoConfig, context: TransportContext): Promise<Transport | string | null>
  configOf(config: AutoConfig): InterfaceConfig
}

const candidates: readonly Candidate[] = [
  {
    open: async ({ vmnet, forwards }, context) => {
      if (vmnetLibraryPath() === undefined) return null
      if (forwards.length > 0) return "not vmnet, because the forwards name addresses of slirp's network"
      try {
        return (await openVmnet(vmnet, context)) as Transport
      } catch (error) {
        if (error instanceof OperatorError) return `not vmnet: ${error.message}`
        throw error
      }
    },
    configOf: ({ vmnet }) => vmnet,
  },
  {
    open: async ({ slirp }, context) => slirpIsMissing() ?? ((await openSlirp(slirp, context)) as Transport),
    configOf: ({ slirp }) => slirp,
  },
]

export async function openAuto(config: AutoConfig, context: TransportContext): Promise<Transport<AutoConfig>> {
  const reasons: string[] = []
  for (const { open, configOf } of candidates) {
    const opened = await open(config, context)
    if (opened === null || typeof opened === 'string') {
      if (opened !== null) reasons.push(opened)
      continue
    }
    const chosen = opened.config.type
    const why = reasons.length === 0 ? 'the best there is' : reasons.join('; ')
    context.report({
      level: 'info',
      event: 'uplink-chosen',
      message: `the uplink is ${chosen}`,
      details: { chosen, why },
    })
    return new Chosen(config, opened, configOf, why)
  }
  const why = reasons.join('; ')
  const message = `this machine offers no uplink: the guests reach each other and nothing else (${why})`
  context.report({ level: 'warn', event: 'no-uplink', message, details: { why } })
  return new NoUplink(config, why)
}
