/** FRR in a namespace: zebra and bgpd as children of the test, with their sockets in a folder of their own. */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inNamespace } from '#src/tap/namespace.js'
import { eventually } from './eventually.js'
import type { Netns } from './netns.js'
import type { Needs } from './requires.js'
import { spawnBound } from './spawn.js'

const daemons = '/usr/lib/frr'

export const frrNeeds: Needs = { commands: ['vtysh', 'unshare'], files: [{ path: `${daemons}/bgpd`, from: 'frr' }] }

export class Frr {
  readonly #netns: Netns
  readonly #folder = mkdtempSync(join(tmpdir(), 'tapswitch-frr-'))
  readonly #children: ChildProcess[] = []

  /** `config`: what would be in frr.conf. */
  static async start(netns: Netns, config: string): Promise<Frr> {
    const frr = new Frr(netns)
    try {
      execFileSync('chown', ['frr:frr', frr.#folder])
      writeFileSync(frr.#path('zebra.conf'), '')
      writeFileSync(frr.#path('bgpd.conf'), config)
      await frr.#spawn('zebra')
      await frr.#spawn('bgpd')
      return frr
    } catch (error) {
      await frr.stop()
      throw error
    }
  }

  private constructor(netns: Netns) {
    this.#netns = netns
  }

  /** What vtysh prints. */
  show(command: string): string {
    return execFileSync('vtysh', ['--vty_socket', this.#folder, '-c', command], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise(resolve => child.once('close', resolve))
      child.kill('SIGKILL')
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /**
   * In a process namespace whose first process is killed with us, and takes the rest along: a daemon that changes its
   * user, as these do, is no longer killed with its parent.
   */
  async #spawn(name: 'zebra' | 'bgpd'): Promise<void> {
    const args = ['--pid', '--fork', '--kill-child', 'sh', '-c', '"$@" & wait', 'sh', join(daemons, name)]
    args.push('-i', this.#path(`${name}.pid`), '-z', this.#path('zserv'))
    args.push('--vty_socket', this.#folder, '-f', this.#path(`${name}.conf`))
    const start = () => spawnBound('unshare', args, { stdio: 'ignore' })
    this.#children.push(inNamespace(this.#netns.name, start))
    await eventually(() => existsSync(this.#path(`${name}.vty`)), Boolean, `${name} listens`, 20_000)
  }

  #path(name: string): string {
    return join(this.#folder, name)
  }
}
