/**
 * Apple's vmnet.framework for Node, without the switch: `import { VmnetInterface, shared } from 'tapswitch/vmnet'`.
 *
 *     const uplink = await VmnetInterface.start(shared().withDhcpRange('192.168.70.1', '192.168.70.254', '255.255.255.0'))
 *     uplink.notify(() => {
 *       for (let frames = uplink.read(); frames.length > 0; frames = uplink.read()) handle(frames)
 *     })
 *     uplink.write(frame)
 *     await uplink.stop()
 */

export type { Forward } from '../config/forwards.js'
export { ConfigError, OperatorError } from '../errors.js'
export { bridgeableInterfaces } from './bridges.js'
export {
  bridged,
  host,
  shared,
  VmnetBuilder,
  type VmnetMode,
  type VmnetOptions,
  type VmnetReservation,
  vmnetDefaults,
  vmnetProblems,
} from './options.js'
export type { VmnetParameters } from './parameters.js'
export { Status, statusName, VmnetError } from './status.js'
export { type StartSettings, VmnetInterface } from './vmnet-interface.js'
