/**
 * Open vSwitch in a namespace of its own: database and switch as children of the test, their files in a folder of its
 * own, the userspace datapath, so that no kernel module is needed.
 */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inNamespace } from '#src/tap/namespace.js'
import { eventually } from './eventually.js'
import type { Netns } from './netns.js'
import type { Needs } from './requires.js'
import { spawnBound } from './spawn.js'

const schema = '/usr/share/openvswitch/vswitch.ovsschema'

export const ovsNeeds: Needs = {
  commands: ['ovs-vswitchd', 'ovsdb-server', 'ovsdb-tool', 'ovs-vsctl', 'ethtool'],
  files: [{ path: schema, from: 'openvswitch-switch' }],
}

export class OpenVswitch {
  readonly #netns: Netns
  readonly #folder = mkdtempSync(join(tmpdir(), 'tapswitch-ovs-'))
  readonly #children: ChildProcess[] = []

  static async start(netns: Netns): Promise<OpenVswitch> {
    const ovs = new OpenVswitch(netns)
    try {
      await ovs.#start()
      return ovs
    } catch (error) {
      await ovs.stop()
      throw error
    }
  }

  private constructor(netns: Netns) {
    this.#netns = netns
  }

  /** Output of ovs-vsctl, which waits until the switch has done it. */
  vsctl(...args: string[]): string {
    return this.#run('ovs-vsctl', `--db=unix:${this.#path('db.sock')}`, '--timeout=20', ...args)
  }

  appctl(...args: string[]): string {
    return this.#run('ovs-appctl', '-t', this.#path('vswitchd.ctl'), ...args)
  }

  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise(resolve => child.once('close', resolve))
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(timer)
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #start(): Promise<void> {
    this.#run('ovsdb-tool', 'create', this.#path('conf.db'), schema)
    const remote = `--remote=punix:${this.#path('db.sock')}`
    this.#spawn('ovsdb-server', this.#path('conf.db'), remote, `--unixctl=${this.#path('ovsdb.ctl')}`)
    const init = () => this.#succeeds(() => this.vsctl('--no-wait', 'init'))
    await eventually(async () => init(), Boolean, 'the database answers')
    this.#spawn('ovs-vswitchd', `unix:${this.#path('db.sock')}`, `--unixctl=${this.#path('vswitchd.ctl')}`)
    const answers = () => this.#succeeds(() => this.appctl('version'))
    await eventually(async () => answers(), Boolean, 'the switch answers')
  }

  #spawn(command: string, ...args: string[]): void {
    const options = { stdio: 'ignore' as const, env: this.#env }
    this.#children.push(inNamespace(this.#netns.name, () => spawnBound(command, args, options)))
  }

  #run(command: string, ...args: string[]): string {
    return execFileSync(command, args, { encoding: 'utf8', env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] })
  }

  #succeeds(task: () => unknown): boolean {
    try {
      task()
      return true
    } catch {
      return false
    }
  }

  get #env(): NodeJS.ProcessEnv {
    const folder = this.#folder
    return { ...process.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder }
  }

  #path(name: string): string {
    return join(this.#folder, name)
  }
}
