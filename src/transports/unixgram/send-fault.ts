/** What an error of sending a datagram means. */
import { Fault } from '../../dataplane/endpoint.js'
import type { Layout } from '../../os/layout.js'

export type SendFault = (errno: number) => Fault

/** Decided once for each error number of this platform, looked up per error. */
export function sendFaults(layout: Layout): SendFault {
  const { errno } = layout
  const faults = new Uint8Array(256).fill(Fault.skip)
  faults[errno.EAGAIN] = Fault.wait
  // macOS: the receiver's buffer is full, although the socket stays writable. Linux: out of memory for the moment.
  faults[errno.ENOBUFS] = Fault.wait
  faults[errno.ENOMEM] = Fault.wait
  faults[errno.EINTR] = Fault.retry
  // Whoever was connected to us let go; reported once, and the next send goes through or says what is wrong.
  faults[errno.ECONNRESET] = Fault.retry
  faults[errno.ECONNREFUSED] = Fault.gone
  faults[errno.ENOENT] = Fault.gone
  faults[errno.ENOTCONN] = Fault.gone
  faults[errno.EPIPE] = Fault.gone
  faults[errno.EPERM] = Fault.gone
  faults[errno.ENOTSOCK] = Fault.gone
  faults[errno.EPROTOTYPE] = Fault.gone
  return number => faults[number & 255] as Fault
}
