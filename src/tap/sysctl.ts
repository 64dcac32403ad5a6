/**
 * Settings of the kernel under /proc/sys/net, read and written in a namespace. Names are paths below it.
 *
 * Forwarding is one switch for all interfaces: a packet that comes back from the world arrives on another interface
 * than ours, so turning it on for the TAP alone would not do. Turning it on or off also sets the same for each
 * interface and flips accept_redirects (net/ipv4/devinet.c, inet_forward_change), so all of these are noted before, and
 * put back after.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inNamespace } from './namespace.js'

const ROOT = '/proc/sys/net'
export const FORWARDING = 'ipv4/ip_forward'

export type Settings = Readonly<Record<string, string>>

/** Undefined where there is no such setting, e.g. of an interface that is gone. */
export function readSetting(netns: string | null, name: string): string | undefined {
  return inNamespace(netns, () => read(name))
}

/** Those of these settings that exist, in order. */
export function readSettings(netns: string | null, names: readonly string[]): Settings {
  return inNamespace(netns, () => {
    const settings: Record<string, string> = {}
    for (const name of names) {
      const value = read(name)
      if (value !== undefined) settings[name] = value
    }
    return settings
  })
}

/** Throws what the file system throws. */
export function writeSetting(netns: string | null, name: string, value: string): void {
  inNamespace(netns, () => writeFileSync(join(ROOT, name), value))
}

/** Puts back what differs, in order; what does not exist any more is left out. */
export function restoreSettings(netns: string | null, settings: Settings): void {
  inNamespace(netns, () => {
    for (const [name, value] of Object.entries(settings)) {
      const now = read(name)
      if (now !== undefined && now !== value) writeFileSync(join(ROOT, name), value)
    }
  })
}

/** Everything that changing FORWARDING changes; FORWARDING itself is first, because writing it changes the others. */
export function forwardingSettings(netns: string | null): Settings {
  const names = inNamespace(netns, () => readdirSync(join(ROOT, 'ipv4/conf')))
  // `all` is the switch itself by another name.
  const each = names.filter(name => name !== 'all').map(name => `ipv4/conf/${name}/forwarding`)
  return readSettings(netns, [FORWARDING, 'ipv4/conf/all/accept_redirects', ...each])
}

function read(name: string): string | undefined {
  try {
    return readFileSync(join(ROOT, name), 'utf8').trim()
  } catch {
    return undefined
  }
}
