/** Which interfaces of this machine bridged mode can join. */
import { OperatorError } from '../errors.js'
import { openVmnetLibrary } from './library.js'
import { takeStrings } from './xpc.js'

/** Names such as `en0`; empty when there is none. Needs no privileges. Throws OperatorError where there is no vmnet. */
export function bridgeableInterfaces(): string[] {
  const library = openVmnetLibrary()
  return takeStrings(library, library.vmnet.copySharedInterfaceList())
}

/** Throws OperatorError when bridged mode cannot join this one: vmnet itself says nothing but FAILURE. */
export function requireBridgeable(name: string): void {
  const names = bridgeableInterfaces()
  if (names.includes(name)) return
  const known = names.length === 0 ? 'none can be' : `${names.join(', ')} can be`
  throw new OperatorError(`bridgeInterface: "${name}" cannot be joined; ${known}`, { value: name })
}
