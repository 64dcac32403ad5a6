/** `type: auto`: the best uplink this machine offers. */
import type { AutoConfig } from '../config/interfaces/auto.js'
import type { Transport, TransportContext } from '../transports/transport.js'

/** An interface without a port: this machine offers no uplink, and the guests have each other. */
class NoUplink implements Transport<AutoConfig> {
  config: AutoConfig
  readonly where = 'none'

  constructor(config: AutoConfig) {
    this.config = config
  }

  facts(): { chosen: null } {
    return { chosen: null }
  }

  spec(): null {
    return null
  }

  message(): void {}

  canBecome(): boolean {
    return true
  }

  update(config: AutoConfig): void {
    this.config = config
  }

  close(): void {}
}

export async function openAuto(config: AutoConfig, { report }: TransportContext): Promise<Transport<AutoConfig>> {
  report({
    level: 'warn',
    event: 'no-uplink',
    message: 'this machine offers no uplink: the guests reach each other and nothing else',
  })
  return new NoUplink(config)
}
