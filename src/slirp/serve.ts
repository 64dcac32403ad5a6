/**
 * What the slirp process does once it may read no more than its program: it takes what the switch hands over, gives up
 * its rights, and runs the loop until told to stop. It ends by itself when the switch is gone: then the command socket
 * is at its end.
 */
import { sharedClock } from '../dataplane/clock.js'
import { OperatorError } from '../errors.js'
import { receiveDescriptor } from '../os/descriptor-passing.js'
import { NativeMemory } from '../os/native-memory.js'
import { platformLayout } from '../os/os.js'
import { Admission } from './admission.js'
import { Commands } from './commands.js'
import { confine } from './confine.js'
import { Connections } from './connections.js'
import { LeaseWatch, requestFrame } from './leases.js'
import { loadSlirp } from './library.js'
import { SlirpLink } from './link.js'
import { SlirpLoop } from './loop.js'
import { COMMANDS, LINKS, type SlirpCommand, type SlirpResult } from './messages.js'
import { SharedState } from './shared-state.js'
import { SlirpStack } from './stack.js'

export function serve(): void {
  const layout = platformLayout()
  const library = loadSlirp()
  const commands = new Commands(COMMANDS)
  const { id, command: start } = commands.next()
  if (start.type !== 'start') throw new Error(`the first command is "${start.type}"`)
  const { config, account, needs, leases } = start
  const shared = new SharedState()
  const link = new SlirpLink(-1, shared)
  const watch = new LeaseWatch(lease => commands.send({ type: 'lease', lease }))
  let isReplaying = true
  const send = (address: number, length: number) => {
    if (isReplaying) return
    const at = link.append(address, length)
    if (at < 0) return
    watch.look(link.sent, at, length)
    admission.hear(link.sent, at)
  }
  const clock = sharedClock()
  const connections = new Connections(config.maxConnections, (held, forwarded) => shared.setSockets(held, forwarded))
  const stack = new SlirpStack({ library, shared, config, send, clock, connections })
  const give = (address: number, length: number) => stack.input(address, length)
  const refusedGuest = (mac: number) => shared.refusedGuest(mac)
  const admission = new Admission({ config, connections, give, counts: shared.refusals, refusedGuest })
  const loop = new SlirpLoop({
    stack,
    link,
    admission,
    clock,
    commands: { fd: COMMANDS, run: runCommands },
    links: { fd: LINKS, run: takeLink },
  })

  function execute(command: SlirpCommand): SlirpResult {
    switch (command.type) {
      case 'start':
        throw new Error('started already')
      case 'add-forward': {
        const error = stack.addForward(command.forward)
        return error < 0 ? { error } : { ok: true }
      }
      case 'remove-forward':
        return { ok: stack.removeForward(command.forward) }
      case 'status':
        return { counts: shared.counts() }
      case 'stop':
        loop.running = false
        return { ok: true }
    }
  }

  function answer(command: SlirpCommand): SlirpResult {
    try {
      return execute(command)
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      return { refusal: error.message }
    }
  }

  function runCommands(): void {
    for (const request of commands.read()) {
      commands.send({ type: 'reply', id: request.id, result: answer(request.command) })
    }
    if (commands.isOver) loop.running = false
  }

  function takeLink(): void {
    const fd = receiveDescriptor(layout, LINKS)
    if (fd === undefined) loop.running = false
    else if (fd !== null) link.join(fd)
  }

  const { sandbox, descriptors } = confine({ maxConnections: config.maxConnections, account, needs })
  for (const lease of leases) {
    const frame = requestFrame(lease)
    const memory = new NativeMemory(frame.length)
    memory.bytes.set(frame)
    admission.admit(memory.bytes, 0, frame.length, memory.address, clock())
    watch.remember(lease)
  }
  // libslirp may hold its answers back until a turn.
  stack.dispatch(false)
  isReplaying = false
  commands.send({ type: 'reply', id, result: { started: { version: library.version, sandbox, descriptors } } })
  loop.run()
  stack.close()
}
