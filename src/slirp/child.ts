/**
 * The program of the slirp process. It runs twice: first to take on what binds one thread only (Landlock) and to
 * replace itself by itself, then to serve. A fault here or in libslirp ends this process and nothing else; the switch
 * starts another (process.ts).
 */
import { nonBlocking } from '../os/libc.js'
import { platformLayout } from '../os/os.js'
import { CONFINED, confineFiles, UNCONFINED } from './confine.js'
import { loadSlirp } from './library.js'
import { COMMANDS, LINKS, STDERR } from './messages.js'

for (const fd of [STDERR, COMMANDS, LINKS]) nonBlocking(fd, platformLayout().constants.O_NONBLOCK)
if (![CONFINED, UNCONFINED].some(argument => process.argv.includes(argument))) {
  // So that the folders of all libraries are known.
  loadSlirp()
  confineFiles()
}
const { serve } = await import('./serve.js')
serve()
// Node.js's own event loop has nothing to do.
process.exit(0)
