/**
 * The data plane's thread reads what guests send, and needs no file: its sockets and devices are opened by the main
 * thread, or are sockets, which are no files. So on Linux with Landlock it gives up making, changing, removing and
 * executing files, for good, and reads only its own program and what the system's libraries read. A second line: it is
 * for a fault in this thread that runs code of a guest's.
 *
 * What it does not do. The thread shares its memory and its descriptors with the main thread, which is not restricted.
 * `stat`, and sending to a unix socket by its path, are not Landlock's to refuse, and the thread needs both. Threads
 * that Node.js shares out for asynchronous work (libuv's pool, V8's workers) exist before and are not restricted; this
 * thread never returns to its event loop, and so gives them nothing to do.
 */
import { fileURLToPath } from 'node:url'
import { restrictFiles } from '../os/sandbox/landlock.js'

/** The compiled program, with its source maps. */
const program = fileURLToPath(new URL('..', import.meta.url))
const readable = [program, '/usr', '/lib', '/lib64', '/etc', '/proc', '/sys', '/dev']

/**
 * Restricts the calling thread; returns whether the kernel could. A thread that may do more forwards frames as well.
 */
export function confineThread(): boolean {
  try {
    return restrictFiles({ rules: readable.map(path => ({ path, allow: ['read'] })) })
  } catch {
    return false
  }
}
