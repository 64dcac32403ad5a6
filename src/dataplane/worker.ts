/** The data plane's thread: takes what main hands over, runs the loop until told to stop. */
import { isMainThread, type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { createOs } from '../os/os.js'
import { sharedClock } from './clock.js'
import { confineThread } from './confinement.js'
import { DataPlaneThread } from './data-plane-thread.js'
import { createEndpoint } from './endpoint-kinds.js'
import type { Request, WorkerInit } from './messages.js'
import { Outbox } from './outbox.js'
import { SharedCounters, SwitchField } from './shared-memory.js'

function main({ init, port }: { init: WorkerInit; port: MessagePort }): void {
  const { cells } = new SharedCounters(init.shape, init.counters)
  const outbox = new Outbox({
    post: event => port.postMessage(event),
    taken: () => cells[SwitchField.eventsTaken],
    countMerged: events => {
      cells[SwitchField.eventsSuppressed] += events
    },
  })
  const thread = new DataPlaneThread({
    os: createOs(),
    init,
    endpointFactory: createEndpoint,
    emit: event => outbox.send(event),
    flushEvents: () => outbox.flush(),
    // This thread never returns to its event loop, so messages are fetched, not delivered.
    nextCommand: () => receiveMessageOnPort(port)?.message as Request | undefined,
    clock: sharedClock(),
  })
  confineThread()
  try {
    thread.engine.run()
  } catch (error) {
    thread.lastWords()
    outbox.flushAll()
    throw error
  }
  port.close()
}

if (isMainThread || parentPort === null) throw new Error('the data plane runs in a worker thread')
main(workerData as { init: WorkerInit; port: MessagePort })
