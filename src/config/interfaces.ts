/**
 * The types of interface (the host's side). A further one is a file in interfaces/ and a line in each of the three
 * lists here.
 */
import type { z } from 'zod'
import { type AutoConfig, auto } from './interfaces/auto.js'
import { type SlirpConfig, slirp } from './interfaces/slirp.js'
import { type TapConfig, tap } from './interfaces/tap.js'
import { type VmnetConfig, vmnet } from './interfaces/vmnet.js'
import type { Scope } from './scope.js'

export const interfaceForms = [...auto.forms, ...slirp.forms, ...tap.forms, ...vmnet.forms] as const

const types = { auto, slirp, tap, vmnet }

export type InterfaceConfig = AutoConfig | SlirpConfig | TapConfig | VmnetConfig

export type InterfaceInput = z.output<(typeof interfaceForms)[number]>

/** `path` is where it is configured, e.g. `interfaces[0]`. */
export function resolveInterface(input: InterfaceInput, path: string, scope: Scope): InterfaceConfig {
  return types[input.type].resolve(input as never, path, scope)
}

/** What one would write in a file to get exactly this. */
export function effectiveInterface(config: InterfaceConfig): Record<string, unknown> {
  return types[config.type].effective(config as never)
}

/** Ports that it has from the start and for good. */
export function fixedInterfacePorts(config: InterfaceConfig): number {
  return types[config.type].fixedPorts(config as never)
}

/** What only one can have at a time: paths, addresses, devices. */
export function interfaceClaims(config: InterfaceConfig): readonly string[] {
  return types[config.type].claims(config as never)
}

export function isInterface(config: { readonly type: string }): config is InterfaceConfig {
  return Object.hasOwn(types, config.type)
}
