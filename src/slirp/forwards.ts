/**
 * The port forwards of one slirp interface, as the main thread keeps them: those in force, which are in force again
 * after a restart.
 *
 * libslirp binds the host's sockets itself, in the slirp process. That one has no rights in the folders of others, so a
 * unix socket is bound in the process's own folder and moved from there to its path: the name of a bound socket may
 * change. Where the path is on another file system, a symbolic link to the socket stands there instead.
 *
 * A process gets the right to bind unix sockets, and ports below 1024, only while a forward asks for it: the first such
 * forward starts the process anew, and guests lose their connections.
 */
import { lchownSync, lstatSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { getSystemErrorName } from 'node:util'
import { type Forward, forwardKey, parseForwardEnd } from '../config/forwards.js'
import { datagramKey, datagramProblem, forwardProblem, type SlirpConfig } from '../config/interfaces/slirp.js'
import { OperatorError } from '../errors.js'
import type { Layout } from '../os/layout.js'
import type { Needs, SlirpCommand, SlirpResult } from './messages.js'

const FIRST_UNPRIVILEGED_PORT = 1024

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'it is in use',
  EACCES: 'this user may not (ports below 1024 are for root)',
  EADDRNOTAVAIL: 'it is not an address of this host',
  ENOENT: 'there is no such directory',
}

export interface ForwardsParts {
  readonly config: SlirpConfig
  readonly layout: Layout
  /** The slirp process's own folder. */
  readonly folder: string
  readonly command: (command: SlirpCommand) => Promise<SlirpResult>
  /** Resolves when the process may do what these forwards need. */
  readonly prepare: (needs: Needs) => Promise<void>
}

export class Forwards {
  readonly #parts: ForwardsParts
  readonly #active = new Map<string, Forward>()
  /** About to be added. */
  #coming: readonly Forward[] = []
  #nextSocket = 1
  /** By path: the name of the socket in the process's folder. */
  readonly #sockets = new Map<string, string>()

  constructor(parts: ForwardsParts) {
    this.#parts = parts
  }

  /** What the process has to be able to do for all of them. */
  get needs(): Needs {
    const hosts = [...this.#active.values(), ...this.#coming].map(({ host }) => parseForwardEnd(host))
    return {
      unixSockets: hosts.some(host => host?.family === 'unix'),
      lowPorts: hosts.some(host => host !== undefined && 'port' in host && host.port < FIRST_UNPRIVILEGED_PORT),
    }
  }

  /** Before the process starts: these are the ones that it begins with. */
  expect(forwards: readonly Forward[]): void {
    this.#coming = forwards
  }

  list(): readonly Forward[] {
    return [...this.#active.values()]
  }

  /** Rejects with OperatorError. */
  async add(forward: Forward): Promise<void> {
    const key = forwardKey(forward)
    this.#check(key, forward)
    this.#coming = [...this.#coming, forward]
    try {
      await this.#parts.prepare(this.needs)
    } finally {
      this.#coming = this.#coming.filter(each => each !== forward)
    }
    this.#check(key, forward)
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
    await this.#parts.command({ type: 'remove-forward', forward: this.#inProcess(forward) })
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

  /** The process has ended. */
  close(): void {
    for (const { host } of this.#active.values()) this.#removeFile(host)
    this.#active.clear()
  }

  #check(key: string, forward: Forward): void {
    const known = this.#active.get(key)
    if (known !== undefined) {
      throw new OperatorError(`${forward.protocol} ${forward.host} is forwarded to ${known.guest} already`)
    }
    const problem = forwardProblem(this.#parts.config, forward)
    if (problem !== undefined) throw new OperatorError(problem)
    const datagrams = datagramKey(forward)
    const rival = this.list().find(each => datagrams !== null && datagramKey(each) === datagrams)
    if (rival !== undefined) throw new OperatorError(datagramProblem(forward.guest, rival.host))
  }

  async #establish(forward: Forward): Promise<void> {
    const end = parseForwardEnd(forward.host)
    if (end?.family === 'unix') {
      await this.#makeWay(end.path)
      this.#sockets.set(end.path, `${this.#nextSocket++}.sock`)
    }
    const result = await this.#parts.command({ type: 'add-forward', forward: this.#inProcess(forward) })
    if ('refusal' in result) throw new OperatorError(result.refusal)
    if ('error' in result) {
      const name = getSystemErrorName(result.error)
      throw new OperatorError(`cannot listen on ${forward.host} (${forward.protocol}): ${advice[name] ?? name}`)
    }
    if (end?.family === 'unix') this.#place(end.path)
  }

  /** As the process knows it: it may not be able to reach its folder from the root. */
  #inProcess<Some extends Pick<Forward, 'protocol' | 'host'>>(forward: Some): Some {
    const socket = this.#sockets.get(forward.host)
    if (socket === undefined) return forward
    const folder = this.#parts.layout.platform === 'linux' ? '/proc/self/cwd' : this.#parts.folder
    return { ...forward, host: join(folder, socket) }
  }

  /**
   * Moves the socket, which has mode 0600, to its path. The process may have put something else there: nothing here
   * follows a link.
   */
  #place(path: string): void {
    const socket = join(this.#parts.folder, this.#sockets.get(path) as string)
    try {
      renameSync(socket, path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EXDEV') throw new OperatorError(`cannot listen on ${path} (tcp): ${advice[code ?? ''] ?? code}`)
      symlinkSync(socket, path)
      return
    }
    if (!lstatSync(path).isSocket()) {
      unlinkSync(path)
      throw new OperatorError(`cannot listen on ${path} (tcp): slirp made no socket`)
    }
    lchownSync(path, process.geteuid?.() ?? 0, process.getegid?.() ?? 0)
  }

  /** A stream socket that no process listens on is left over from an earlier run. */
  async #makeWay(path: string): Promise<void> {
    const limit = this.#parts.layout.sockaddrUn.pathSize - 1
    if (Buffer.byteLength(path) > limit) {
      throw new OperatorError(`socket path "${path}" has more than ${limit} bytes, the most on this system`)
    }
    const file = lstatSync(path, { throwIfNoEntry: false })
    if (file === undefined) return
    if (this.#isOurLink(path)) {
      unlinkSync(path)
      return
    }
    if (!file.isSocket()) throw new OperatorError(`"${path}" exists and is not a socket; it is left alone`)
    if (await isInUse(path)) throw new OperatorError(`"${path}" is a socket in use; it is left alone`)
    unlinkSync(path)
  }

  #removeFile(host: string): void {
    if (!host.startsWith('/')) return
    this.#sockets.delete(host)
    if (lstatSync(host, { throwIfNoEntry: false })?.isSocket() || this.#isOurLink(host)) unlinkSync(host)
  }

  #isOurLink(path: string): boolean {
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return false
    return readlinkSync(path).startsWith(`${this.#parts.folder}/`)
  }
}

/** Also when it is a socket of another kind, or one that this user may not connect to. */
function isInUse(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  })
}
