/** Options of the `unixgram` transport: frames as datagrams on unix sockets (QEMU's dgram netdev, vfkit, libkrun). */
import { z } from 'zod'
import { account, allow, fileMode, group, name, oneOf, socketPath, wholeNumber } from './fields.js'
import { portPolicyOfMany, portPolicyOfOne } from './port-schema.js'

const common = {
  name: name().describe(
    'Name of the transport, and of its port; with many peers the ports are `<name>:1`, `<name>:2` ...',
  ),
  type: z.literal('unixgram').describe('Frames as datagrams on unix sockets.'),
}

const socketFile = {
  permissions: fileMode().default('0600').describe('Mode of the socket file. A peer must be able to write to it.'),
  owner: account('user').optional().describe('Owner of the socket file. Default: who runs the switch.'),
  group: account('group').optional().describe('Group of the socket file. Default: that of who runs the switch.'),
}

const listening = {
  ...common,
  listen: socketPath().describe('Socket file that peers send to; relative paths start in `runtimeDir`.'),
  ...socketFile,
}

const peersIs = <Peers extends 'many' | 'one'>(peers: Peers) => allow('one of "many", "one"', z.literal(peers))
const onlyWithConnect = { connect: 'not together with listen', handshake: 'only with connect' }
const onlyWithListen = { listen: 'not together with connect', peers: 'only with listen', maxPeers: 'only with listen' }

export const unixgramListenMany = group(
  {
    ...listening,
    peers: peersIs('many').default('many').describe('`many`: every bound address that sends gets a port of its own.'),
    maxPeers: wholeNumber(1, 1000).default(64).describe('Peers that may have a port at the same time.'),
    port: portPolicyOfMany.prefault({}).describe('Policy of every port of this transport.'),
  },
  onlyWithConnect,
)

export const unixgramListenOne = group(
  {
    ...listening,
    peers: peersIs('one').describe(
      '`one`: one port for one peer, the fastest path; the port is there before the peer is.',
    ),
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  { ...onlyWithConnect, maxPeers: 'only with peers: many' },
)

export const unixgramConnect = group(
  {
    ...common,
    connect: group({
      local: socketPath().describe('Socket file this switch makes; the peer answers to it.'),
      remote: socketPath().describe('Socket file of the peer.'),
    }).describe('Two fixed paths: frames go from `local` to `remote`.'),
    handshake: oneOf(['vfkit'])
      .optional()
      .describe('`vfkit`: send the four bytes VFKT first, as a listener for vfkit expects. Default: nothing is sent.'),
    ...socketFile,
    port: portPolicyOfOne.prefault({}).describe('Policy of the port.'),
  },
  onlyWithListen,
)
