/** The configuration in force, in the form of the file: what one would write to get exactly this. */
import type { Config } from './config.js'
import { effectiveHttp } from './http.js'
import { effectiveInterface } from './interfaces.js'
import { effectiveTransport } from './transports.js'

/** Plain data, ready for JSON. */
export function effectiveConfig(config: Config): Record<string, unknown> {
  const { file: _file, interfaces, transports, http, process, sandbox, ...rest } = config
  return {
    ...rest,
    interfaces: interfaces.map(effectiveInterface),
    transports: transports.map(effectiveTransport),
    http: http && effectiveHttp(http),
    process: { ...(process === null ? {} : { user: process.uid, group: process.gid }), sandbox },
  }
}
