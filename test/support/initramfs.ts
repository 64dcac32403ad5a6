/**
 * The first and only file system of a test VM: busybox, the kernel's virtio network modules, and the programs of
 * test/support/guest. Made from what is installed here, without root, and kept under .cache/ by the hash of everything
 * that goes into it, so that a new kernel, a new busybox or an edited program makes a new one.
 */

import { execFileSync } from 'node:child_process'
import { createHash, type Hash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type CpioEntry, cpio } from './cpio.js'
import { projectRoot } from './project-root.js'
import { findCommand, findFile } from './requires.js'

export const kernelPattern = '/boot/vmlinuz-*-cloud-amd64'

const guestFolder = join(projectRoot, 'test/support/guest')
const cacheFolder = join(projectRoot, '.cache/initramfs')
const guestPrograms = ['agent', 'netbench']
const drivers = ['virtio_pci', 'virtio_net']

export interface GuestImage {
  /** Paths for QEMU's -kernel and -initrd. */
  kernel: string
  initramfs: string
}

let image: GuestImage | undefined

export function guestImage(): GuestImage {
  image ??= makeImage()
  return image
}

function makeImage(): GuestImage {
  const kernel = findFile(kernelPattern)
  const busybox = findCommand('busybox')
  if (kernel === undefined || busybox === undefined)
    throw new Error('a VM needs a kernel and busybox: see requirements()')
  const modules = modulesOf(join('/lib/modules', basename(kernel).replace('vmlinuz-', '')))
  const sources = ['init', ...guestPrograms.map(program => `${program}.c`)].map(name => join(guestFolder, name))

  const initramfs = join(cacheFolder, `${hashOf([busybox, ...modules, ...sources, import.meta.filename])}.cpio`)
  if (!existsSync(initramfs)) store(initramfs, cpio(contents(busybox, modules)))
  return { kernel, initramfs }
}

function hashOf(paths: string[]): string {
  const hash = createHash('sha256')
  return paths
    .reduce<Hash>((sum, path) => sum.update(path).update(readFileSync(path)), hash)
    .digest('hex')
    .slice(0, 16)
}

function contents(busybox: string, modules: string[]): CpioEntry[] {
  const order = modules.map(path => `${moduleName(path)}\n`).join('')
  return [
    { type: 'directory', name: 'dev' },
    { type: 'device', name: 'dev/console', major: 5, minor: 1 },
    { type: 'directory', name: 'bin' },
    { type: 'directory', name: 'modules' },
    { type: 'file', name: 'init', data: readFileSync(join(guestFolder, 'init')), executable: true },
    { type: 'file', name: 'bin/busybox', data: readFileSync(busybox), executable: true },
    ...guestPrograms.map(
      name => ({ type: 'file', name: `bin/${name}`, data: compile(name), executable: true }) as const,
    ),
    ...modules.map(path => ({ type: 'file', name: `modules/${moduleName(path)}`, data: plainModule(path) }) as const),
    { type: 'file', name: 'modules/order', data: Buffer.from(order) },
  ]
}

const moduleName = (path: string) => basename(path).replace(/\.xz$/, '')

/** The files of the drivers and all they depend on, in the order insmod needs. Built-in drivers have no file. */
function modulesOf(folder: string): string[] {
  const lines = readFileSync(join(folder, 'modules.dep'), 'utf8').split('\n')
  // "name.ko: needs.ko needs-first.ko": the last named is the first to load.
  const withNeeds = drivers.flatMap(driver => {
    const line = lines.find(candidate => new RegExp(`/${driver}\\.ko[.a-z]*:`).test(candidate))
    return line === undefined ? [] : line.replace(':', '').trim().split(' ').reverse()
  })
  return [...new Set(withNeeds)].map(path => join(folder, path))
}

/** busybox's insmod takes no compressed modules. */
function plainModule(path: string): Buffer {
  return path.endsWith('.xz') ? execFileSync('busybox', ['xzcat', path], { maxBuffer: 64 << 20 }) : readFileSync(path)
}

function compile(program: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'tapswitch-guest-'))
  try {
    const output = join(folder, program)
    execFileSync('gcc', ['-static', '-O2', '-s', '-Wall', '-Wextra', '-o', output, join(guestFolder, `${program}.c`)])
    return readFileSync(output)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Written under another name first: two test processes may do this at the same time. */
function store(path: string, data: Buffer): void {
  mkdirSync(cacheFolder, { recursive: true })
  const unfinished = `${path}.${process.pid}`
  writeFileSync(unfinished, data)
  renameSync(unfinished, path)
}
