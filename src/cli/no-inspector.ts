/**
 * Imported for its effect, before everything else: SIGUSR1 does nothing in this process.
 *
 * By default that signal makes Node.js listen for debuggers on 127.0.0.1:9229, without a password: every local user can
 * then run code in the process, as root where the switch runs as root. A handler takes the place of Node's own. Node 20
 * has no option for this (`--disable-sigusr1` came with 22.14). In the tens of milliseconds before this line only the
 * user who started the process, and root, can send it a signal. `node --inspect` still works, because the operator asks
 * for it.
 */
process.on('SIGUSR1', () => {})
