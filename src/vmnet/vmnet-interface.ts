/**
 * One interface of vmnet.framework: starts it, knows what vmnet said about it, reads and writes frames, stops it.
 *
 *     start: queue, dictionary (or network object) -> vmnet_start_interface -> start handler: status and parameters
 *     stop:  event callback off -> vmnet_stop_interface -> stop handler -> queue and network released
 *
 * The reference vmnet_start_interface returns means nothing until the handler has said SUCCESS, 20 to 160 ms later; a
 * handler that says anything else has ended the interface already, and such a reference is not touched again. Stopping
 * is asynchronous too: the subnet is free for another interface only when the stop handler has been called.
 *
 * Handlers are called on a serial queue of this interface's own, and reach JavaScript when the main thread returns to
 * its event loop (blocks.ts). So everything here is for the main thread, and nothing waits in place. `read` and `write`
 * do not block; the data plane makes these two calls itself, from its own thread, with `reference`.
 *
 * An interface that is up keeps the process alive, as a listening socket does. When the process exits all the same, the
 * interface is stopped without waiting; when it is killed, macOS does it.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Forward } from '../config/forwards.js'
import { ConfigError, OperatorError } from '../errors.js'
import { HEADER_SIZE } from '../wire/ethernet.js'
import { type Block, createBlock, createNativeBlock } from './blocks.js'
import { requireBridgeable } from './bridges.js'
import { answerOf } from './deadline.js'
import { classicDescription, networkDescription } from './description.js'
import { VmnetForwarding } from './forwarding.js'
import { type NetworkFunctions, openVmnetLibrary, type VmnetLibrary } from './library.js'
import { createNetwork, planOf, type VmnetNetwork } from './network.js'
import { type VmnetOptions, vmnetProblems } from './options.js'
import { PacketIo } from './packet-io.js'
import { readParameters, type VmnetParameters } from './parameters.js'
import { check, Status, VmnetError } from './status.js'
import type { XpcDictionary } from './xpc.js'

/** VMNET_INTERFACE_PACKETS_AVAILABLE, the only event there is. */
const PACKETS_AVAILABLE = 1
/** Handlers were seen to take up to 0.2 s. */
const TIMEOUT_MS = 15_000

export interface StartSettings {
  /** Milliseconds that vmnet may take for each answer. @default 15000 */
  readonly timeoutMs?: number
  /** Told when the network objects of macOS 26 failed and the classic calls are used instead. */
  readonly onFallback?: (error: Error) => void
}

/** What an interface that is up was made from. */
interface Started {
  readonly reference: number
  readonly parameters: VmnetParameters
}

export class VmnetInterface implements VmnetParameters {
  readonly options: VmnetOptions
  readonly mac: string | null
  readonly mtu: number
  readonly maxPacketSize: number
  readonly readMaxPackets: number
  readonly writeMaxPackets: number
  readonly interfaceId: string | null
  readonly startAddress: string | null
  readonly endAddress: string | null
  readonly subnetMask: string | null
  readonly nat66Prefix: string | null
  /** Whether it is on a network object of macOS 26. */
  readonly onNetworkObject: boolean
  /** interface_ref, for vmnet_read and vmnet_write from another thread. Invalid once `stop` was called. */
  readonly reference: number
  readonly #library: VmnetLibrary
  readonly #queue: number
  readonly #network: VmnetNetwork | null
  readonly #timeoutMs: number
  readonly #forwarding: VmnetForwarding
  readonly #io: PacketIo
  readonly #alive: NodeJS.Timeout
  #callback: Block | null = null
  /** Callbacks before it, one of which may be on its way still. */
  readonly #retired: Block[] = []
  #stopping: Promise<void> | null = null

  /**
   * Checks the options, starts an interface and waits until it is up. Needs root, or a node with the entitlement
   * (docs/vmnet.md).
   * @throws OperatorError where there is no vmnet, or no such interface to bridge to
   * @throws ConfigError for options that do not fit together, before anything was called
   * @throws VmnetError for what vmnet refuses; nothing is left behind
   */
  static async start(options: VmnetOptions = {}, settings: StartSettings = {}): Promise<VmnetInterface> {
    const problems = vmnetProblems(options)
    if (problems.length > 0) throw new ConfigError(problems)
    const library = openVmnetLibrary()
    if (options.bridgeInterface !== undefined) requireBridgeable(options.bridgeInterface)
    const plan = planOf(options, library.network !== null)
    const { timeoutMs = TIMEOUT_MS, onFallback = () => {} } = settings
    if (plan === 'classic') return VmnetInterface.#classic(library, options, timeoutMs)
    try {
      return await VmnetInterface.#onNetwork(library, options, timeoutMs)
    } catch (error) {
      if (plan === 'network' || !(error instanceof VmnetError)) throw error
      onFallback(error)
      return VmnetInterface.#classic(library, options, timeoutMs)
    }
  }

  static async #classic(library: VmnetLibrary, options: VmnetOptions, timeoutMs: number): Promise<VmnetInterface> {
    const description = classicDescription(library, options)
    const { queue, started } = await begin(library, options, description, timeoutMs, (address, queue, handler) =>
      library.vmnet.start(address, queue, handler),
    )
    return new VmnetInterface(library, options, queue, started, null, timeoutMs)
  }

  static async #onNetwork(library: VmnetLibrary, options: VmnetOptions, timeoutMs: number): Promise<VmnetInterface> {
    const { startInterface } = library.network as NetworkFunctions
    const network = await createNetwork(library, options, timeoutMs)
    try {
      const description = networkDescription(library, options)
      const { queue, started } = await begin(library, options, description, timeoutMs, (address, queue, handler) =>
        startInterface(network.address, address, queue, handler),
      )
      return new VmnetInterface(library, options, queue, started, network, timeoutMs)
    } catch (error) {
      network.release()
      throw error
    }
  }

  private constructor(
    library: VmnetLibrary,
    options: VmnetOptions,
    queue: number,
    { reference, parameters }: Started,
    network: VmnetNetwork | null,
    timeoutMs: number,
  ) {
    this.options = options
    this.#library = library
    this.#queue = queue
    this.#network = network
    this.#timeoutMs = timeoutMs
    this.reference = reference
    this.mac = parameters.mac
    this.mtu = parameters.mtu
    this.maxPacketSize = parameters.maxPacketSize
    this.readMaxPackets = parameters.readMaxPackets
    this.writeMaxPackets = parameters.writeMaxPackets
    this.interfaceId = parameters.interfaceId
    this.startAddress = parameters.startAddress ?? network?.subnet.gateway ?? null
    this.endAddress = parameters.endAddress
    this.subnetMask = parameters.subnetMask ?? network?.subnet.mask ?? null
    this.nat66Prefix = parameters.nat66Prefix
    this.onNetworkObject = network !== null
    this.#forwarding = new VmnetForwarding(library, reference, timeoutMs)
    this.#io = new PacketIo(library.path, reference, parameters)
    this.#alive = setInterval(() => {}, 0x7fffffff)
    atExit.add(this)
  }

  get running(): boolean {
    return this.#stopping === null
  }

  /** Where the library is, for `bindPacketCalls` on another thread. */
  get libraryPath(): string {
    return this.#library.path
  }

  /**
   * Calls `listener` when frames have arrived: at least once after the last frame was read. Events are coalesced, so
   * read until there is nothing. Null ends it. Replaces the listener before.
   */
  notify(listener: (() => void) | null): void {
    this.#mustRun()
    const before = this.#callback
    const { setEventCallback } = this.#library.vmnet
    if (listener === null) {
      check('end its events', setEventCallback(this.reference, PACKETS_AVAILABLE, 0, 0))
      this.#callback = null
    } else {
      const callback = createBlock(this.#library.globalBlockClass, 'u32-object', listener)
      const status = setEventCallback(this.reference, PACKETS_AVAILABLE, this.#queue, callback.address)
      if (status !== Status.SUCCESS) callback.release()
      check('tell of frames', status)
      this.#callback = callback
    }
    // One may be on its way still; its block must not become another's until the interface has stopped.
    if (before !== null) this.#retired.push(before)
  }

  /** The frames that wait, at most `readMaxPackets`; none when nothing does. Each is a copy. */
  read(): Uint8Array[] {
    this.#mustRun()
    return this.#io.read()
  }

  /**
   * Writes frames, from the front. Returns how many vmnet took: fewer when it is busy, then the rest may be tried again
   * later. Throws VmnetError for a frame that is longer than `maxPacketSize` or no frame at all, before vmnet sees any.
   */
  write(frames: Uint8Array | readonly Uint8Array[]): number {
    this.#mustRun()
    const list = frames instanceof Uint8Array ? [frames] : frames
    for (const { length } of list) {
      if (length > this.maxPacketSize)
        throw new VmnetError(`send a frame of ${length} bytes, at most ${this.maxPacketSize}`, Status.PACKET_TOO_BIG)
      if (length < HEADER_SIZE)
        throw new VmnetError(`send a frame of ${length} bytes, at least ${HEADER_SIZE}`, Status.INVALID_ARGUMENT)
    }
    return this.#io.write(list)
  }

  /** Port forwards of shared mode that vmnet has now. */
  forwards(): Promise<Forward[]> {
    this.#mustRun()
    return this.#forwarding.list()
  }

  addForward(forward: Forward): Promise<void> {
    this.#mustRun()
    return this.#forwarding.add(forward)
  }

  removeForward(forward: Pick<Forward, 'protocol' | 'host'>): Promise<void> {
    this.#mustRun()
    return this.#forwarding.remove(forward)
  }

  /**
   * Ends the interface and resolves when vmnet has; the same promise when called again. Nobody may be reading or
   * writing.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    const { vmnet, system, globalBlockClass } = this.#library
    const what = 'stop the interface'
    const { answer, settle } = answerOf<number>(what, this.#timeoutMs)
    const block = createBlock(globalBlockClass, 'u32', settle)
    if (this.#callback !== null) vmnet.setEventCallback(this.reference, PACKETS_AVAILABLE, 0, 0)
    const status = vmnet.stop(this.reference, this.#queue, block.address)
    atExit.delete(this)
    clearInterval(this.#alive)
    if (status !== Status.SUCCESS) settle(status)
    const answered = await answer
    if (status === Status.SUCCESS) await drained(this.#library, this.#queue)
    // Handlers of a serial queue come in order: no event follows this one.
    for (const each of [block, this.#callback, ...this.#retired]) each?.release()
    this.#callback = null
    system.queueRelease(this.#queue)
    this.#network?.release()
    check(what, answered)
  }

  /** Without waiting and without any JavaScript to be called; the process is about to end. */
  abandon(): void {
    if (this.#stopping !== null) return
    this.#stopping = Promise.resolve()
    const { vmnet, globalBlockClass, harmless } = this.#library
    vmnet.setEventCallback(this.reference, PACKETS_AVAILABLE, 0, 0)
    vmnet.stop(this.reference, this.#queue, createNativeBlock(globalBlockClass, harmless).address)
  }

  #mustRun(): void {
    if (this.#stopping !== null) throw new OperatorError('the vmnet interface has been stopped')
  }
}

/** Interfaces that are up. */
const atExit = new Set<VmnetInterface>()
process.on('exit', () => {
  for (const each of atExit) each.abandon()
})

type StartCall = (description: number, queue: number, handler: number) => number

/** From a description, which is released, to an interface that is up, with its queue. */
async function begin(
  library: VmnetLibrary,
  options: VmnetOptions,
  description: XpcDictionary,
  timeoutMs: number,
  call: StartCall,
): Promise<{ queue: number; started: Started }> {
  const { system } = library
  const what = `start an interface in ${options.mode ?? 'shared'} mode`
  const queue = system.queueCreate('dev.tapswitch.vmnet', 0)
  if (queue === 0) {
    description.release()
    throw new OperatorError('no memory for a dispatch queue')
  }
  const { answer, settle } = answerOf<{ status: number; parameters: VmnetParameters | null }>(what, timeoutMs)
  let reference = 0
  let called = false
  let abandoned = false
  const block = createBlock(library.globalBlockClass, 'u32-object', (status, dictionary) => {
    called = true
    const parameters = status === Status.SUCCESS ? readParameters(library, dictionary, options) : null
    settle({ status, parameters })
    if (!abandoned) return
    block.release()
    if (status === Status.SUCCESS) stopLate(library, reference, queue)
    else system.queueRelease(queue)
  })
  reference = call(description.address, queue, block.address)
  description.release()
  // NULL: it failed at once, and whether the handler is called is not documented. A moment for it to say why.
  const refused =
    reference === 0 ? setTimeout(() => settle({ status: Status.FAILURE, parameters: null }), REFUSAL_MS) : undefined
  try {
    const { status, parameters } = await answer
    check(what, status)
    block.release()
    return { queue, started: { reference, parameters: parameters as VmnetParameters } }
  } catch (error) {
    // A handler that may still come keeps its block and its queue.
    abandoned = error instanceof VmnetError && error.status === 0
    if (!abandoned) {
      if (called) await drained(library, queue)
      if (called) block.release()
      system.queueRelease(queue)
    }
    throw error
  } finally {
    clearTimeout(refused)
  }
}

const REFUSAL_MS = 500

/**
 * Resolves when the queue's thread has come back from the handlers it called. It goes through koffi after JavaScript
 * has returned, and at the end of the process koffi takes its things down: on a busy machine a thread was seen to be
 * that late (SIGSEGV, in a library that koffi had closed). Only after the last handler was called: while one may still
 * come, its thread would wait for JavaScript, and JavaScript for the thread.
 */
async function drained({ system, harmless }: VmnetLibrary, queue: number): Promise<void> {
  // The answer came from inside the handler; in the next turn of the event loop the handler has returned.
  await nextTurn()
  system.queueSync(queue, 0, harmless)
}

/** Somebody gave up waiting, and then it started after all. */
function stopLate(library: VmnetLibrary, reference: number, queue: number): void {
  const block = createBlock(library.globalBlockClass, 'u32', () => {
    block.release()
    library.system.queueRelease(queue)
  })
  library.vmnet.stop(reference, queue, block.address)
}
