/**
 * A Linux VM for tests: QEMU without KVM, Debian's kernel, the initramfs of initramfs.ts, one virtio network card on
 * whatever `-netdev` the test names. It boots in about two seconds and runs shell commands for the test.
 *
 * The first serial port is QEMU's stdin and stdout and carries the agent's protocol; the kernel writes to the second,
 * which is read only to explain a failure. QEMU gets SIGKILL from the kernel when this process ends, however it ends.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { type CommandResult, GuestAgent } from './guest-agent.js'
import { guestImage, kernelPattern } from './initramfs.js'
import type { Needs } from './requires.js'
import { spawnBound } from './spawn.js'

/** What the tests that start VMs pass to `requirements()`. */
export const vmNeeds: Needs = {
  platform: 'linux',
  commands: ['qemu-system-x86_64', 'busybox', 'gcc', 'setpriv'],
  files: [{ path: kernelPattern, from: 'linux-image-cloud-amd64' }],
}

const bootTimeoutMs = 60_000
const stopTimeoutMs = 5_000
const logLimit = 16_384 // characters

export interface VmOptions {
  name: string
  /** QEMU's own arguments for the network, e.g. `['-netdev', 'dgram,id=net0,...']`: exactly one -netdev. */
  netdevArgs: string[]
  mac: string
  /** Address and prefix length of eth0, e.g. '10.9.0.1/24'; none when absent. */
  ip?: string
  /** IP MTU of eth0, default 1500. */
  mtu?: number
  /** MiB, default 128. */
  memoryMb?: number
}

export class Vm {
  readonly name: string
  readonly pid: number
  /** From starting QEMU to the first command accepted. */
  bootMs = 0
  readonly #qemu: ChildProcess
  readonly #agent: GuestAgent
  readonly #exited: Promise<void>
  #log = ''

  /** Resolves when the guest takes commands; rejects with QEMU's and the kernel's messages when it does not. */
  static async start(options: VmOptions): Promise<Vm> {
    const started = performance.now()
    const vm = new Vm(options)
    const timer = setTimeout(() => vm.#agent.fail(vm.#failure(`not up after ${bootTimeoutMs} ms`)), bootTimeoutMs)
    try {
      await vm.#agent.ready
    } catch (error) {
      await vm.kill9()
      throw error
    } finally {
      clearTimeout(timer)
    }
    vm.bootMs = performance.now() - started
    return vm
  }

  /** Starts several at once. When one fails, the others are stopped before this rejects. */
  static async startAll(options: VmOptions[]): Promise<Vm[]> {
    const results = await Promise.allSettled(options.map(Vm.start))
    const vms = results.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
    const failure = results.find(result => result.status === 'rejected')
    if (!failure) return vms
    await Promise.all(vms.map(vm => vm.stop()))
    throw failure.reason
  }

  private constructor(options: VmOptions) {
    this.name = options.name
    this.#qemu = spawnBound('qemu-system-x86_64', qemuArgs(options), {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    })
    const [toGuest, fromGuest, errors, kernelLog] = this.#qemu.stdio as unknown as [
      Writable,
      Readable,
      Readable,
      Readable,
    ]
    this.#agent = new GuestAgent(fromGuest, toGuest)
    for (const stream of [errors, kernelLog]) stream.on('data', bytes => this.#note(String(bytes)))
    this.#exited = once(this.#qemu, 'close').then(([code, signal]) => {
      this.#agent.fail(this.#failure(`QEMU ended: ${signal ?? `exit code ${code}`}`))
    })
    this.#exited.catch(error => this.#agent.fail(error))
    this.pid = this.#qemu.pid ?? 0
  }

  /** Runs a shell command in the guest. Several may run at once. A status other than 0 is a result, not an error. */
  run(command: string, { timeoutMs = 30_000 }: { timeoutMs?: number } = {}): Promise<CommandResult> {
    return this.#agent.run(command, timeoutMs)
  }

  /** As `run`, for a command that must succeed. Returns its output. */
  async sh(command: string, options: { timeoutMs?: number } = {}): Promise<string> {
    const { output, status } = await this.run(command, options)
    if (status !== 0) throw new Error(`${this.name}: status ${status} from: ${command}\n${output}`)
    return output
  }

  /** Ends QEMU in an orderly way: it closes its sockets and removes their paths. May be called again. */
  async stop(): Promise<void> {
    this.#qemu.kill('SIGTERM')
    const timer = setTimeout(() => this.#qemu.kill('SIGKILL'), stopTimeoutMs)
    await this.#exited.catch(() => {})
    clearTimeout(timer)
  }

  /** Ends QEMU as a crash would: sockets and their paths stay as they are. */
  async kill9(): Promise<void> {
    this.#qemu.kill('SIGKILL')
    await this.#exited.catch(() => {})
  }

  #note(text: string): void {
    this.#log = (this.#log + text).slice(-logLimit)
  }

  #failure(what: string): Error {
    return new Error(`VM ${this.name}: ${what}\n${this.#log}`)
  }
}

function qemuArgs({ netdevArgs, mac, ip = '', mtu = 1500, memoryMb = 128 }: VmOptions): string[] {
  const netdev = /\bid=([^,]+)/.exec(netdevArgs.join(' '))?.[1]
  if (netdev === undefined) throw new Error(`no id= in ${netdevArgs.join(' ')}`)
  const { kernel, initramfs } = guestImage()
  const commandLine = [
    'console=ttyS1',
    'quiet',
    'loglevel=4',
    'panic=-1',
    'ipv6.disable=1',
    `vm_ip=${ip}`,
    `vm_mtu=${mtu}`,
  ]
  return [
    // bios-microvm is qboot, which starts a kernel a second sooner than SeaBIOS does.
    ...['-machine', 'pc,accel=tcg,usb=off,vmport=off,graphics=off', '-bios', 'bios-microvm.bin', '-cpu', 'max'],
    ...['-m', String(memoryMb), '-display', 'none', '-nodefaults', '-no-user-config', '-no-reboot'],
    ...['-kernel', kernel, '-initrd', initramfs, '-append', commandLine.join(' ')],
    ...['-chardev', 'stdio,id=agent,signal=off', '-serial', 'chardev:agent'],
    ...['-chardev', 'socket,id=log,fd=3', '-serial', 'chardev:log'],
    ...netdevArgs,
    ...['-device', `virtio-net-pci,netdev=${netdev},mac=${mac},romfile=`],
  ]
}

/** QEMU's datagram netdev: frames come in on `local`, which QEMU makes, and go out to `remote`. */
export function dgramNetdev({ local, remote }: { local: string; remote: string }): string[] {
  const address = `local.type=unix,local.path=${local},remote.type=unix,remote.path=${remote}`
  return ['-netdev', `dgram,id=net0,${address}`]
}

/**
 * QEMU's stream netdev on a unix path: as client of whoever listens there, or listening itself for one client at a
 * time.
 */
export function streamNetdev(path: string, server: 'on' | 'off'): string[] {
  return ['-netdev', `stream,id=net0,server=${server},addr.type=unix,addr.path=${path}`]
}
