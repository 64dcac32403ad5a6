/** What doctor says of vmnet. */
import type { Finding } from './findings.js'
import type { Machine } from './machine.js'

/** Nothing is said of it where it cannot be. */
export async function vmnetFinding(machine: Machine): Promise<Finding | undefined> {
  const name = 'vmnet'
  try {
    const bridges = await machine.bridgeableInterfaces()
    if (bridges === undefined) return undefined
    const list = bridges.length === 0 ? 'none' : bridges.join(', ')
    const text = `interfaces that bridged mode can join: ${list}`
    if (machine.uid === 0 || isEntitled(machine)) return { name, status: 'ok', text }
    const mend = 'run as root; from macOS 26 on, scripts/macos-sign-node.sh makes a node that may start it without'
    return { name, status: 'warn', text: `${text}; this user may not start it`, mend }
  } catch (error) {
    return { name, status: 'warn', text: (error as Error).message, mend: 'use type: slirp, or no interface' }
  }
}

function isEntitled(machine: Machine): boolean {
  const entitlements = machine.output('/usr/bin/codesign', ['-d', '--entitlements', '-', '--xml', machine.executable])
  return entitlements?.includes('com.apple.security.virtualization') === true
}
