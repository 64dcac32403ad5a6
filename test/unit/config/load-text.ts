import type { Config } from '#src/config/config.js'
import { parseConfig } from '#src/config/load.js'
import { resolveConfig } from '#src/config/resolve.js'
import type { Surroundings } from '#src/config/scope.js'
import { ConfigError } from '#src/errors.js'

export const linux: Surroundings = {
  file: '/etc/tapswitch.yaml',
  platform: 'linux',
  env: { XDG_RUNTIME_DIR: '/run/user/1000' },
  uid: 1000,
  primaryGroup: uid => ({ 1001: 1001 })[uid],
  accountNumber: (kind, name) => ({ user: { alice: 1001 }, group: { staff: 50 } })[kind][name as never],
}

/** Loads a text as if it were a file on a machine that is always the same. */
export function load(text: string, around: Surroundings = linux): Config {
  return resolveConfig(parseConfig(text, around.file), around)
}

/** The lines that `check` would print; none when the configuration is valid. */
export function complaints(text: string, around: Surroundings = linux): string[] {
  try {
    load(text, around)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n')
    throw error
  }
}
