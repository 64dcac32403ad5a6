/**
 * What doctor looks at. A finding is `fail` when `run` is impossible, `warn` when something works less well or not at
 * all that a switch does not need in order to run.
 */
import { dirname } from 'node:path'
import { runtimeDirProblem } from '../control/runtime-dir.js'
import { descriptorsFor } from '../dataplane/descriptor-budget.js'
import { hasCapability, type Machine } from './machine.js'
import { sandboxFinding } from './sandbox-finding.js'
import { tapFindings } from './tap-findings.js'
import { vmnetFinding } from './vmnet-finding.js'

export interface Finding {
  readonly name: string
  readonly status: 'ok' | 'warn' | 'fail'
  readonly text: string
  /** What to do about it. */
  readonly mend?: string
}

export interface Wanted {
  readonly runtimeDir: string
  /** Descriptors that peers may need, of each transport; see peer-files.ts. */
  readonly peerDescriptors: readonly number[]
}

export async function inspect(machine: Machine, wanted: Wanted): Promise<Finding[]> {
  const findings = [
    platform(machine),
    node(machine),
    await nativeLibrary(machine),
    runtimeDirectory(machine, wanted.runtimeDir),
    openFiles(machine, wanted.peerDescriptors),
    await slirp(machine),
    await filters(machine),
  ]
  if (machine.platform === 'linux')
    findings.push(
      await sandboxFinding(machine),
      datagramQueue(machine),
      sendBuffer(machine),
      ...tapFindings(machine),
      kvm(machine),
    )
  if (machine.platform === 'darwin') findings.push(darwinDatagramSize(machine), darwinSocketBuffer(machine))
  const vmnet = await vmnetFinding(machine)
  if (vmnet !== undefined) findings.push(vmnet)
  return findings
}

function platform({ platform }: Machine): Finding {
  const name = 'platform'
  if (platform === 'linux' || platform === 'darwin') return { name, status: 'ok', text: `${platform} ${process.arch}` }
  return { name, status: 'fail', text: `${platform} is neither Linux nor macOS` }
}

function node({ nodeVersion }: Machine): Finding {
  const [major, minor] = nodeVersion.split('.').map(Number)
  const isRecent = major > 20 || (major === 20 && minor >= 19)
  const text = `version ${nodeVersion}`
  if (isRecent) return { name: 'node', status: 'ok', text }
  return { name: 'node', status: 'fail', text, mend: 'install Node.js 20.19 or later' }
}

async function nativeLibrary(machine: Machine): Promise<Finding> {
  const name = 'native library'
  try {
    await machine.loadNativeLibrary()
    return { name, status: 'ok', text: 'koffi loads and finds the C library' }
  } catch (error) {
    const text = `koffi does not load: ${(error as Error).message.split('\n')[0]}`
    return { name, status: 'fail', text, mend: 'npm install, on this machine and with this version of Node.js' }
  }
}

function runtimeDirectory(machine: Machine, path: string): Finding {
  const name = 'runtime directory'
  const replaceable = machine.replaceableProblem(path)
  if (replaceable !== undefined) return { name, status: 'fail', text: replaceable }
  const stat = machine.lstat(path)
  if (stat === undefined) {
    if (isMakeable(machine, path)) return { name, status: 'ok', text: `${path} will be made` }
    const mend = `sudo install -d -m 0700 -o ${machine.uid} ${path}`
    return { name, status: 'fail', text: `${path} does not exist and cannot be made by this user`, mend }
  }
  // As `run` sees it.
  const problem = runtimeDirProblem(path, stat, machine.uid)
  if (problem !== undefined) return { name, status: 'fail', text: problem }
  if (!machine.isAccessible(path))
    return { name, status: 'fail', text: `${path} is not writable`, mend: 'set runtimeDir' }
  return { name, status: 'ok', text: `${path} is ours and private` }
}

/** Directories are made on the way: what counts is the nearest one that exists. */
function isMakeable(machine: Machine, path: string): boolean {
  let parent = dirname(path)
  while (parent !== '/' && machine.stat(parent) === undefined) parent = dirname(parent)
  return machine.stat(parent)?.isDirectory() === true && machine.isAccessible(parent)
}

function openFiles(machine: Machine, peers: readonly number[]): Finding {
  const name = 'open files'
  // Node raises its soft limit to the hard one when it starts.
  const limits = /^Max open files\s+(\d+|unlimited)/m.exec(machine.read('/proc/self/limits') ?? '')?.[1]
  const limit = limits ?? machine.output('/bin/sh', ['-c', 'ulimit -n'])?.trim()
  if (limit === undefined) return { name, status: 'warn', text: 'the limit cannot be told' }
  const wanted = descriptorsFor(peers)
  const text = `at most ${limit}`
  if (limit === 'unlimited' || Number(limit) >= wanted) return { name, status: 'ok', text }
  const mend = `ulimit -n ${wanted}, or LimitNOFILE=${wanted} in a systemd unit`
  return {
    name,
    status: 'warn',
    text: `${text}; peers, as many as the configuration allows, and the switch itself may need ${wanted}`,
    mend,
  }
}

async function slirp(machine: Machine): Promise<Finding> {
  const name = 'slirp'
  try {
    const { version, file } = await machine.loadSlirp()
    const text = `libslirp ${version} (${file})`
    const { knownFaults, slirpUpdate } = await import('../slirp/library.js')
    const faults = knownFaults(version)
    if (faults === null) return { name, status: 'ok', text }
    return {
      name,
      status: 'warn',
      text: `${text} has memory faults that guests can reach: ${faults}`,
      mend: slirpUpdate,
    }
  } catch (error) {
    const [text] = (error as Error).message.split('\n')
    return { name, status: 'warn', text: `${text}: type: slirp is not possible, type: auto has one choice less` }
  }
}

async function filters(machine: Machine): Promise<Finding> {
  const name = 'capture filters'
  try {
    const { version, file } = await machine.loadPcap()
    return { name, status: 'ok', text: `${version} (${file})` }
  } catch (error) {
    const [text] = (error as Error).message.split('\n')
    return { name, status: 'warn', text: `${text}: captures take no filter` }
  }
}

const wantedQueue = 512

function datagramQueue(machine: Machine): Finding {
  const name = 'datagram queue'
  const value = numberIn(machine, '/proc/sys/net/unix/max_dgram_qlen')
  if (value === undefined) return { name, status: 'warn', text: 'net.unix.max_dgram_qlen cannot be read' }
  const text = `net.unix.max_dgram_qlen is ${value}`
  if (value >= wantedQueue) return { name, status: 'ok', text }
  const cost = `a peer that is not connected to us (QEMU) takes ${value} frames at a time; at 10 instead of 512 a C program that forwards 64-byte frames falls from 533,000 to 278,000 a second`
  return { name, status: 'warn', text: `${text}: ${cost}`, mend: sysctl('net.unix.max_dgram_qlen', wantedQueue) }
}

/** Bytes; some 1,800 frames of 1,514 bytes, by what the default of 212,992 is known to hold (93). */
const wantedSendBuffer = 4 * 1024 * 1024

function sendBuffer(machine: Machine): Finding {
  const name = 'send buffer'
  const value = numberIn(machine, '/proc/sys/net/core/wmem_max')
  if (value === undefined) return { name, status: 'warn', text: 'net.core.wmem_max cannot be read' }
  const text = `net.core.wmem_max is ${value} bytes`
  if (value >= wantedSendBuffer) return { name, status: 'ok', text }
  if (hasCapability(machine, 'CAP_NET_ADMIN')) {
    return { name, status: 'ok', text: `${text}; this user may exceed it (CAP_NET_ADMIN)` }
  }
  const cost =
    'frames on their way to a VM wait in a send buffer of at most this size; 212992 bytes hold 93 frames of 1514'
  return { name, status: 'warn', text: `${text}: ${cost}`, mend: sysctl('net.core.wmem_max', wantedSendBuffer) }
}

function kvm(machine: Machine): Finding {
  const name = 'kvm'
  if (machine.isAccessible('/dev/kvm')) return { name, status: 'ok', text: '/dev/kvm can be opened' }
  const text = '/dev/kvm cannot be opened; QEMU runs VMs without it, many times slower'
  return { name, status: 'warn', text, mend: 'enable virtualization in the firmware, and join the group kvm' }
}

/** Bytes; what a frame may have at most, with room for the kernel's own. */
const wantedDatagram = 65_550

function darwinDatagramSize(machine: Machine): Finding {
  const name = 'datagram size'
  const value = sysctlValue(machine, 'net.local.dgram.maxdgram')
  if (value === undefined) return { name, status: 'warn', text: 'net.local.dgram.maxdgram cannot be read' }
  const text = `net.local.dgram.maxdgram is ${value} bytes`
  if (value >= wantedDatagram) return { name, status: 'ok', text }
  const cost = 'QEMU, which sets no buffer sizes, cannot send larger frames; vfkit and krunkit do'
  const mend = `sudo sysctl -w net.local.dgram.maxdgram=${wantedDatagram}`
  return { name, status: 'warn', text: `${text}: ${cost}`, mend }
}

function darwinSocketBuffer(machine: Machine): Finding {
  const name = 'socket buffer'
  const value = sysctlValue(machine, 'kern.ipc.maxsockbuf')
  if (value === undefined) return { name, status: 'warn', text: 'kern.ipc.maxsockbuf cannot be read' }
  const text = `kern.ipc.maxsockbuf is ${value} bytes`
  if (value >= wantedSendBuffer) return { name, status: 'ok', text }
  return { name, status: 'warn', text, mend: `sudo sysctl -w kern.ipc.maxsockbuf=${2 * wantedSendBuffer}` }
}

function numberIn(machine: Machine, path: string): number | undefined {
  return wholeNumber(machine.read(path))
}

function sysctlValue(machine: Machine, key: string): number | undefined {
  return wholeNumber(machine.output('/usr/sbin/sysctl', ['-n', key]))
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d+\s*$/.test(text) ? Number(text) : undefined
}

function sysctl(key: string, value: number): string {
  return `sudo sysctl -w ${key}=${value}; to keep it: echo '${key} = ${value}' | sudo tee /etc/sysctl.d/60-tapswitch-${key.split('.').at(-1)}.conf`
}
