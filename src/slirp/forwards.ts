/** The port forwards of one slirp interface, as the main thread keeps them: what is in force, and what is again after a restart. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { type Forward, forwardKey, parseForwardEnd } from '../config/forwards.js'
import { datagramKey, datagramProblem, forwardProblem, type SlirpConfig } from '../config/interfaces/slirp.js'
import { OperatorError } from '../errors.js'
import type { Layout } from '../os/layout.js'
import type { SlirpCommand, SlirpResult } from './messages.js'

/** Of a unix socket that a forward listens on. */
const SOCKET_MODE = 0o600

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'it is in use',
  EACCES: 'this user may not (ports below 1024 are for root)',
  EADDRNOTAVAIL: 'it is not an address of this host',
  ENOENT: 'there is no such directory',
}

export class Forwards {
  readonly #config: SlirpConfig
  readonly #layout: Layout
  readonly #command: (command: SlirpCommand) => Promise<SlirpResult>
  readonly #active = new Map<string, Forward>()

  constructor(config: SlirpConfig, layout: Layout, command: (command: SlirpCommand) => Promise<SlirpResult>) {
    this.#config = config
    this.#layout = layout
    this.#command = command
  }

  list(): readonly Forward[] {
    return [...this.#active.values()]
  }

  /** Rejects with OperatorError. */
  async add(forward: Forward): Promise<void> {
    const key = forwardKey(forward)
    const known = this.#active.get(key)
    if (known !== undefined) {
      throw new OperatorError(`${forward.protocol} ${forward.host} is forwarded to ${known.guest} already`)
    }
    const problem = forwardProblem(this.#config, forward)
    if (problem !== undefined) throw new OperatorError(problem)
    const datagrams = datagramKey(forward)
    const rival = this.list().find(each => datagrams !== null && datagramKey(each) === datagrams)
    if (rival !== undefined) throw new OperatorError(datagramProblem(forward.guest, rival.host))
    // Before it is in force, so that a second call for the same place meets it.
    this.#active.set(key, forward)
    try {
      await this.#establish(forward)
    } catch (error) {
      this.#active.delete(key)
      throw error
    }
  }

  /** Resolves to false when there is none. */
  async remove(forward: Pick<Forward, 'protocol' | 'host'>): Promise<boolean> {
    const key = forwardKey(forward)
    if (!this.#active.delete(key)) return false
    await this.#command({ type: 'remove-forward', forward })
    this.#removeFile(forward.host)
    return true
  }

  /** After a restart: all that were in force. Resolves with those that could not be, and why. */
  async restore(): Promise<{ forward: Forward; error: Error }[]> {
    const failed: { forward: Forward; error: Error }[] = []
    for (const [key, forward] of [...this.#active]) {
      try {
        await this.#establish(forward)
      } catch (error) {
        this.#active.delete(key)
        failed.push({ forward, error: error as Error })
      }
    }
    return failed
  }

  /** The thread has ended. */
  close(): void {
    for (const { host } of this.#active.values()) this.#removeFile(host)
    this.#active.clear()
  }

  async #establish(forward: Forward): Promise<void> {
    const end = parseForwardEnd(forward.host)
    if (end?.family === 'unix') await this.#makeWay(end.path)
    const result = await this.#command({ type: 'add-forward', forward })
    if ('refusal' in result) throw new OperatorError(result.refusal)
    if ('error' in result) {
      const name = getSystemErrorName(result.error)
      throw new OperatorError(`cannot listen on ${forward.host} (${forward.protocol}): ${advice[name] ?? name}`)
    }
    if (end?.family === 'unix') chmodSync(end.path, SOCKET_MODE)
  }

  /** A file that nobody listens on is left over from an earlier run. */
  async #makeWay(path: string): Promise<void> {
    const limit = this.#layout.sockaddrUn.pathSize - 1
    if (Buffer.byteLength(path) > limit) {
      throw new OperatorError(`socket path "${path}" has more than ${limit} bytes, the most on this system`)
    }
    const file = lstatSync(path, { throwIfNoEntry: false })
    if (file === undefined) return
    if (!file.isSocket()) throw new OperatorError(`"${path}" exists and is not a socket; it is left alone`)
    if (await answers(path)) throw new OperatorError(`another process listens on "${path}"`)
    unlinkSync(path)
  }

  #removeFile(host: string): void {
    if (!host.startsWith('/')) return
    if (lstatSync(host, { throwIfNoEntry: false })?.isSocket()) unlinkSync(host)
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
