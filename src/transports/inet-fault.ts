/** What an error of sending a UDP datagram on an unconnected socket means: it is about this datagram, and the next may do better. */
import { Fault } from '../dataplane/endpoint.js'
import type { Layout } from '../os/layout.js'
import type { SendFault } from './unixgram/send-fault.js'

/** Decided once for each error number of this platform, looked up per error. */
export function inetFaults(layout: Layout): SendFault {
  const { errno } = layout
  // No route, a firewall's refusal, an unresolved neighbour: this frame is lost, and counted as such.
  const faults = new Uint8Array(256).fill(Fault.skip)
  faults[errno.EAGAIN] = Fault.wait
  faults[errno.ENOBUFS] = Fault.wait
  faults[errno.ENOMEM] = Fault.wait
  faults[errno.EINTR] = Fault.retry
  // Left over from an earlier datagram where the kernel reports such things; reported once.
  faults[errno.ECONNREFUSED] = Fault.retry
  faults[errno.EMSGSIZE] = Fault.tooLong
  return number => faults[number & 255] as Fault
}
