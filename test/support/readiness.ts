/** Waiting on this thread's event loop until a descriptor is ready, through the uv_poll that koffi carries. */
import koffi from 'koffi'
import { closeDescriptor, libc } from '#src/os/libc.js'

export type Interest = 'readable' | 'writable'

const dup = libc.func('int dup(int fd)') as unknown as (fd: number) => number

/** Resolves with true when the descriptor is ready, with false after `timeoutMs`. */
export function ready(fd: number, interest: Interest, timeoutMs: number): Promise<boolean> {
  // libuv takes one poll handle for each descriptor; a copy lets a peer wait to send and to receive at once.
  const copy = dup(fd)
  return new Promise(resolve => {
    const settle = (result: boolean) => {
      clearTimeout(timer)
      handle.close()
      closeDescriptor(copy)
      resolve(result)
    }
    const timer = setTimeout(() => settle(false), timeoutMs)
    const handle = koffi.node.poll(copy, { readable: interest === 'readable', writable: interest === 'writable' }, () =>
      settle(true),
    )
  })
}
