import { loadConfig } from '../config/load.js'
import { ConfigError } from '../errors.js'
import type { Output } from './output.js'
import { startProblems } from './start-problems.js'

/** Validates a configuration and changes nothing. Returns the exit code; problems are thrown as ConfigError. */
export async function check(file: string, output: Output): Promise<number> {
  const config = loadConfig(file)
  const problems = await startProblems(config)
  if (problems.length > 0) throw new ConfigError(problems)
  const names = config.transports.map(({ name, type }) => `${name} (${type})`).join(', ')
  const http = config.http === false ? 'no HTTP' : `HTTP at ${config.http.listen}`
  output.out(`OK: ${config.file}: transports: ${names || 'none'}; ${http}; sockets in ${config.runtimeDir}`)
  return 0
}
