/** Options of the `auto` interface: the best uplink this machine offers. */
import { z } from 'zod'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { group, name } from '../fields.js'
import { portPolicyOfOne } from '../port-schema.js'
import { resolvePort, type Scope } from '../scope.js'

const form = group({
  name: name().describe('Name of the interface, and of its port.'),
  type: z
    .literal('auto')
    .describe('The best uplink this machine offers; none, with a warning in the log, where it offers nothing.'),
  port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
})
const forms = [form] as const

export interface AutoConfig {
  readonly type: 'auto'
  readonly name: string
  readonly port: PortPolicyConfig
}

export const auto: AttachmentType<typeof forms, AutoConfig> = {
  forms,
  resolve: ({ type, name, port }: z.output<typeof form>, path: string, scope: Scope) => ({
    type,
    name,
    port: resolvePort(port, `${path}.port`, scope),
  }),
  effective: config => ({ ...config }),
  fixedPorts: () => 1,
  claims: () => [],
}
