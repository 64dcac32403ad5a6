/** Starting the thread that forwards frames. */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { Event, WorkerInit } from './messages.js'

export interface ForwardingThread {
  readonly worker: Worker
  /** For commands; events come out of it. */
  readonly port: MessagePort
}

export interface ThreadHandlers {
  readonly event: (event: Event) => void
  /** The loop runs. Called before `event` gets `started`. */
  readonly started: (worker: Worker) => void
  /** What it threw; `exited` follows. */
  readonly failed: (error: Error) => void
  /** The thread is gone, and `event` has got everything it said. */
  readonly exited: () => void
}

/** Makes a thread. `running` resolves when its loop runs, and rejects when it ends before. */
export function startThread(init: WorkerInit, handlers: ThreadHandlers): ForwardingThread & { running: Promise<void> } {
  const { port1, port2 } = new MessageChannel()
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: { init, port: port2 },
    transferList: [port2],
    name: 'dataplane',
    // Descriptors belong to the process: Node.js neither closes them with the thread nor warns of those that the thread
    // closes.
    trackUnmanagedFds: false,
  })
  worker.on('error', handlers.failed)
  const running = new Promise<void>((resolve, reject) => {
    port1.on('message', (event: Event) => {
      if (event.type === 'started') {
        handlers.started(worker)
        resolve()
      }
      handlers.event(event)
    })
    worker.once('exit', () => {
      reject(new Error('the data plane ended while starting'))
      for (let last = receiveMessageOnPort(port1); last !== undefined; last = receiveMessageOnPort(port1)) {
        handlers.event(last.message as Event)
      }
      port1.close()
      handlers.exited()
    })
  })
  return { worker, port: port1, running }
}
