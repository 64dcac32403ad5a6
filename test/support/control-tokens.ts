/**
 * The control tokens of the switches that tests run, by the address of their API: what the command line finds in the
 * runtime directory.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const runtimeDirs = new Map<string, string>()

/** Notes where the switch that answers at `url` has its runtime directory. */
export function noteRuntimeDir(url: string, runtimeDir: string): void {
  runtimeDirs.set(url, runtimeDir)
}

/** Undefined where no switch of this test process answers, or where it has made no token. */
export function controlTokenOf(url: string): string | undefined {
  const runtimeDir = runtimeDirs.get(url)
  if (runtimeDir === undefined) return undefined
  try {
    return readFileSync(join(runtimeDir, 'control.token'), 'utf8').trim()
  } catch {
    return undefined
  }
}

/** The headers that give a request to this switch the role control. */
export function controlHeaders(url: string): { authorization?: string } {
  const token = controlTokenOf(url)
  return token === undefined ? {} : { authorization: `Bearer ${token}` }
}
