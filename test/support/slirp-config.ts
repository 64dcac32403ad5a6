/** The configuration of a slirp interface, as a file would give it. */
import type { SlirpConfig } from '#src/config/interfaces/slirp.js'
import { load } from '../unit/config/load-text.js'

export function slirpConfig(options: object = {}): SlirpConfig {
  return load(JSON.stringify({ interfaces: [{ name: 'nat', type: 'slirp', ...options }] })).interfaces[0] as SlirpConfig
}
