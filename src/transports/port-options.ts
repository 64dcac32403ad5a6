/** The policy of a port, from the configuration's form to the data plane's. */
import type { PortPolicyConfig } from '../config/config.js'
import type { EgressPolicy } from '../dataplane/endpoint.js'
import { parseMac } from '../wire/ethernet.js'
import { egressPolicy } from './policy.js'

export function portOptions(port: PortPolicyConfig): { policy: EgressPolicy; staticAddresses: number[] } {
  return { policy: egressPolicy(port), staticAddresses: port.fdb.static.map(mac => parseMac(mac) as number) }
}
