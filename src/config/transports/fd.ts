/** Options of the `fd` transport: frames on a socket that whoever started the switch left open. */
import { z } from 'zod'
import type { AttachmentType } from '../attachment.js'
import type { PortPolicyConfig } from '../config.js'
import { group, name, oneOf, wholeNumber } from '../fields.js'
import { portPolicyOfOne } from '../port-schema.js'
import { resolvePort } from '../scope.js'

const form = group({
  name: name().describe('Name of the transport and of its port.'),
  type: z.literal('fd').describe('Frames on a connected socket that was inherited.'),
  fd: wholeNumber(3, 65_535).describe(
    'Number of the descriptor: a connected datagram socket (a frame a datagram) or stream socket (frames behind their lengths); which, is found out.',
  ),
  framing: oneOf(['qemu', 'hyperkit']).default('qemu').describe('Length in front of each frame, where it is a stream.'),
  port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
})

export interface FdConfig {
  readonly type: 'fd'
  readonly name: string
  readonly fd: number
  readonly framing: 'qemu' | 'hyperkit'
  readonly port: PortPolicyConfig
}

export const fd: AttachmentType<readonly [typeof form], FdConfig> = {
  forms: [form],
  resolve: (input, path, scope) => ({ ...input, port: resolvePort(input.port, `${path}.port`, scope) }),
  effective: config => ({ ...config }),
  fixedPorts: () => 1,
  claims: config => [`fd:${config.fd}`],
}
