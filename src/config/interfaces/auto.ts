/**
 * Options of the `auto` interface: the best uplink this machine offers. What it may become is resolved along with it,
 * so that the choice, made when the switch starts, needs nothing but the machine.
 */
import { z } from 'zod'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { group, list, name } from '../fields.js'
import { type Forward, forwardForm, forwardKey } from '../forwards.js'
import { portPolicyOfOne } from '../port-schema.js'
import type { Scope } from '../scope.js'
import { resolveSlirp, type SlirpConfig, slirpInput } from './slirp.js'
import { type VmnetConfig, vmnet } from './vmnet.js'

/** Bytes of Ethernet in front of an IP packet. */
const ETHERNET = 14

const form = group({
  name: name().describe('Name of the interface, and of its port.'),
  type: z
    .literal('auto')
    .describe(
      'The best uplink this machine offers: vmnet in shared mode where that is permitted, else slirp; none, with a warning in the log, where there is neither.',
    ),
  forwards: list(forwardForm)
    .default([])
    .describe("Port forwards from this host to guests, in slirp's network; with any of them, it is slirp."),
  port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
})
const forms = [form] as const

export interface AutoConfig {
  readonly type: 'auto'
  readonly name: string
  readonly port: PortPolicyConfig
  readonly forwards: readonly Forward[]
  /** What it is where the choice falls on one or the other. */
  readonly slirp: SlirpConfig
  readonly vmnet: VmnetConfig
}

export const auto: AttachmentType<typeof forms, AutoConfig> = {
  forms,
  resolve: ({ type, name, port, forwards }: z.output<typeof form>, path: string, scope: Scope) => {
    const mtu = Math.min(1500, (port.maxFrameSize ?? scope.switch.maxFrameSize) - ETHERNET)
    const slirp = resolveSlirp(slirpInput({ name, port, forwards, mtu: Math.max(576, mtu) }), path, scope)
    const vmnetInput = vmnet.forms[0].parse({ name, type: 'vmnet', mode: 'shared' })
    const shared = { ...vmnet.resolve(vmnetInput, path, scope), port: slirp.port }
    return { type, name, port: slirp.port, forwards, slirp, vmnet: shared }
  },
  effective: ({ slirp: _slirp, vmnet: _vmnet, ...config }) => ({ ...config }),
  fixedPorts: () => 1,
  claims: config => config.forwards.map(forwardKey),
}
