/** The slirp thread: takes what the main thread hands over, runs the loop until told to stop. */
import { isMainThread, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { sharedClock } from '../dataplane/clock.js'
import { OperatorError } from '../errors.js'
import { Admission } from './admission.js'
import { Connections } from './connections.js'
import { loadSlirp } from './library.js'
import { SlirpLink } from './link.js'
import { SlirpLoop } from './loop.js'
import type { SlirpCommand, SlirpReply, SlirpRequest, SlirpResult, SlirpWorkerData } from './messages.js'
import { SharedState } from './shared-state.js'
import { SlirpStack } from './stack.js'

function main({ config, shared: buffer, linkFd, wakeFd, port }: SlirpWorkerData): void {
  const library = loadSlirp()
  const shared = new SharedState(buffer)
  const link = new SlirpLink(linkFd, shared)
  const send = (address: number, length: number) => link.append(address, length)
  const clock = sharedClock()
  const connections = new Connections(config.maxConnections, (held, forwarded) => shared.setSockets(held, forwarded))
  const stack = new SlirpStack({ library, shared, config, send, clock, connections })
  const give = (address: number, length: number) => stack.input(address, length)
  const refusedGuest = (mac: number) => shared.refusedGuest(mac)
  const admission = new Admission({ config, connections, give, counts: shared.refusals, refusedGuest })
  const loop = new SlirpLoop({ stack, link, admission, clock, wakeFd, runCommands })
  const reply = (message: SlirpReply) => port.postMessage(message)

  function execute(command: SlirpCommand): SlirpResult {
    switch (command.type) {
      case 'join':
        link.join(command.fd)
        return { ok: true }
      case 'add-forward': {
        const error = stack.addForward(command.forward)
        return error < 0 ? { error } : { ok: true }
      }
      case 'remove-forward':
        return { ok: stack.removeForward(command.forward) }
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
    // This thread never returns to its event loop, so messages are fetched, not delivered.
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) {
      const { id, command } = next.message as SlirpRequest
      reply({ type: 'reply', id, result: answer(command) })
    }
  }

  try {
    reply({ type: 'started', version: library.version })
    loop.run()
  } finally {
    stack.close()
    port.close()
  }
}

if (isMainThread || parentPort === null) throw new Error('slirp runs in a worker thread')
main(workerData as SlirpWorkerData)
