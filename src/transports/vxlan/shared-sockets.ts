/**
 * The sockets of VXLAN: one pair of hands for all networks on an address. The first transport on it opens them, the
 * last one closes them.
 */
import { OperatorError } from '../../errors.js'
import type { Os } from '../../os/os.js'
import type { InetAddress } from '../../os/sockaddr-in.js'
import { closeSocket } from '../../os/unix-socket.js'
import { formatInetAddress } from '../inet-text.js'
import { MAX_LANES, openBoundUdp, openLanes, SOCKET_BUFFER_BYTES } from '../open-udp.js'

export interface VxlanSockets {
  /** To receive on: the first one, and its lanes. */
  readonly fds: readonly number[]
  readonly sendFds: readonly number[]
}

export interface VxlanSocketOptions {
  readonly fragment: boolean
  /** Sockets to send from, so many source ports; 0: frames leave from the port we listen on. */
  readonly sourcePorts: number
}

interface Shared extends VxlanSockets {
  readonly options: string
  users: number
}

const shared = new WeakMap<Os, Map<string, Shared>>()

/** Every call is answered by one of `releaseVxlanSockets`. Throws OperatorError. */
export function acquireVxlanSockets(os: Os, listen: InetAddress, options: VxlanSocketOptions): VxlanSockets {
  const sockets = shared.get(os) ?? new Map<string, Shared>()
  shared.set(os, sockets)
  const key = formatInetAddress(listen)
  const wanted = JSON.stringify([options.fragment, options.sourcePorts])
  const open = sockets.get(key)
  if (open !== undefined && open.options !== wanted) {
    throw new OperatorError(`${key} is shared with another network, whose fragment and sourcePorts must be the same`)
  }
  const sockets_ = open ?? { ...openSockets(os, listen, options), options: wanted, users: 0 }
  sockets_.users++
  sockets.set(key, sockets_)
  return sockets_
}

export function releaseVxlanSockets(os: Os, listen: InetAddress): void {
  const key = formatInetAddress(listen)
  const open = shared.get(os)?.get(key)
  if (open === undefined || --open.users > 0) return
  shared.get(os)?.delete(key)
  for (const fd of new Set([...open.fds, ...open.sendFds])) closeSocket(fd)
}

function openSockets(os: Os, listen: InetAddress, { fragment, sourcePorts }: VxlanSocketOptions): VxlanSockets {
  const { layout } = os
  const sizes = { fragment, sendBytes: SOCKET_BUFFER_BYTES, receiveBytes: SOCKET_BUFFER_BYTES }
  const fd = openBoundUdp(layout, listen, sizes)
  const sendFds: number[] = []
  try {
    // Nothing is expected on them: VTEPs send to the fabric's port.
    const source = { ...listen, port: 0 }
    for (let i = 0; i < sourcePorts; i++) sendFds.push(openBoundUdp(layout, source, { ...sizes, receiveBytes: 0 }))
  } catch (error) {
    for (const each of [fd, ...sendFds]) closeSocket(each)
    throw error
  }
  const fds = [fd, ...openLanes(layout, fd, 'address', sizes, MAX_LANES)]
  return { fds, sendFds: sourcePorts === 0 ? [fd] : sendFds }
}
