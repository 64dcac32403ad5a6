/** What an error of sending means. */
import { Fault } from '../dataplane/endpoint.js'
import type { ErrorName, Layout } from '../os/layout.js'

export type SendFault = (errno: number) => Fault

/** Of a unix socket: about the peer, where it is not about room. */
export function unixFaults(layout: Layout): SendFault {
  return faults(layout, {
    // The peer that was connected to us let go; reported once, and the next send goes through or says what is wrong.
    ECONNRESET: Fault.retry,
    ECONNREFUSED: Fault.gone,
    ENOENT: Fault.gone,
    ENOTCONN: Fault.gone,
    EPIPE: Fault.gone,
    EPERM: Fault.gone,
    EACCES: Fault.gone,
    EMSGSIZE: Fault.tooLong,
    ENOTSOCK: Fault.gone,
    EPROTOTYPE: Fault.gone,
  })
}

/**
 * Of an unconnected UDP socket: about this datagram, and the next may do better. No route, a firewall's refusal, an
 * unresolved neighbour: this frame is lost, and counted as such.
 */
export function inetFaults(layout: Layout): SendFault {
  return faults(layout, {
    // Left over from an earlier datagram where the kernel reports such things; reported once.
    ECONNREFUSED: Fault.retry,
    EMSGSIZE: Fault.tooLong,
  })
}

/** Of a connection: it is over, where it is not about room. The same errors mean the same when it is read. */
export function streamFaults(layout: Layout): SendFault {
  return faults(layout, {}, Fault.gone)
}

/**
 * Decided once for each error number of this platform, looked up per error. `otherwise`: what those mean that are not
 * named.
 */
function faults(
  { errno }: Layout,
  particular: Partial<Record<ErrorName, Fault>>,
  otherwise: Fault = Fault.skip,
): SendFault {
  const table = new Uint8Array(256).fill(otherwise)
  const meanings: Partial<Record<ErrorName, Fault>> = {
    EAGAIN: Fault.wait,
    // macOS: the receiver's buffer is full, although the socket stays writable. Linux: out of memory for the moment.
    ENOBUFS: Fault.wait,
    ENOMEM: Fault.wait,
    EINTR: Fault.retry,
    ...particular,
  }
  for (const [name, fault] of Object.entries(meanings)) table[errno[name as ErrorName]] = fault
  return number => table[number & 255] as Fault
}
