import { loadConfig } from '../config/load.js'
import type { Output } from './output.js'

/** Validates a configuration and changes nothing. Returns the exit code; problems are thrown as ConfigError. */
export function check(file: string, output: Output): number {
  const config = loadConfig(file)
  const names = config.transports.map(({ name, type }) => `${name} (${type})`).join(', ')
  const http = config.http === false ? 'no HTTP' : `HTTP at ${config.http.listen}`
  output.out(`OK: ${config.file}: transports: ${names || 'none'}; ${http}; sockets in ${config.runtimeDir}`)
  return 0
}
