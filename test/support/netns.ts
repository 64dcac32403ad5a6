/**
 * A network namespace of the test's own, empty and quiet: loopback up, and no IPv6, so that the kernel says nothing by
 * itself.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { inNamespace } from '#src/tap/namespace.js'
import type { Needs } from './requires.js'
import { spawnBound } from './spawn.js'

/** What the tests that make namespaces pass to `requirements()`. */
export const netnsNeeds: Needs = { platform: 'linux', root: true, commands: ['ip', 'nft', 'sysctl', 'setpriv'] }

let made = 0

export class Netns {
  readonly name: string

  static make({ ipv6 = false }: { ipv6?: boolean } = {}): Netns {
    const netns = new Netns(`tsw-${process.pid}-${++made}`)
    execFileSync('ip', ['netns', 'add', netns.name])
    if (!ipv6) netns.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1')
    netns.ip('link', 'set', 'lo', 'up')
    return netns
  }

  private constructor(name: string) {
    this.name = name
  }

  /** Connects this namespace to another by a cable; the ends are up and have these addresses, if any. */
  cable(end: string, other: Netns, otherEnd: string): void {
    this.ip('link', 'add', end, 'type', 'veth', 'peer', 'name', otherEnd, 'netns', other.name)
    this.ip('link', 'set', end, 'up')
    other.ip('link', 'set', otherEnd, 'up')
  }

  /** Output of `ip` in the namespace. Throws when it fails. */
  ip(...args: string[]): string {
    return execFileSync('ip', ['-n', this.name, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  }

  /** Output of a program in the namespace. Throws when it fails. */
  run(command: string, ...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.name, command, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    })
  }

  /** Whether a program in the namespace ends well. */
  succeeds(command: string, ...args: string[]): boolean {
    const { status } = spawnSync('ip', ['netns', 'exec', this.name, command, ...args], {
      stdio: 'ignore',
      timeout: 60_000,
    })
    return status === 0
  }

  /** Starts a program in the namespace that ends with this process at the latest. */
  spawn(command: string, ...args: string[]): ChildProcess {
    return inNamespace(this.name, () => spawnBound(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  }

  /** What a program could have changed: links, addresses, routes, packet filter and settings; lines of text. */
  state(): string[] {
    const settings = this.run('sysctl', '-a', '-r', '^net[.]ipv[46][.](conf|ip_forward)')
    const running = /(valid_lft|preferred_lft) \w+|\w+_timer +[\d.]+/g
    const links = this.ip('-details', 'address', 'show').replace(running, '')
    const routes = this.ip('route', 'show', 'table', 'all')
    return [links, routes, this.run('nft', 'list', 'ruleset'), settings].join('\n').split('\n')
  }

  /** Lines that came and went since. */
  changes(state: readonly string[]): string[] {
    const now = this.state()
    return [
      ...state.filter(line => !now.includes(line)).map(line => `- ${line}`),
      ...now.filter(line => !state.includes(line)).map(line => `+ ${line}`),
      ...(now.length === state.length ? [] : [`${state.length} lines, now ${now.length}`]),
    ]
  }

  /** Fails unless everything is as it was; the kernel notices within a second that a TAP has lost its carrier. */
  async assertStill(state: readonly string[]): Promise<void> {
    const deadline = performance.now() + 5000
    while (this.changes(state).length > 0 && performance.now() < deadline) await delay(50)
    assert.deepEqual(this.changes(state), [])
  }

  remove(): void {
    spawnSync('ip', ['netns', 'delete', this.name], { stdio: 'ignore' })
  }
}
