/** v86 itself, in this process, with guest/v86-station.c in it: a PC of JavaScript and WebAssembly on a WebSocket. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { V86 } from 'v86'
import { WebSocket } from 'ws'
import { projectRoot } from './project-root.js'

const guestFolder = join(projectRoot, 'test/support/guest')
const wasm = createRequire(import.meta.url).resolve('v86/build/v86.wasm')

export class V86Station {
  readonly #emulator: V86
  #said = ''

  /** `folder` gets the compiled guest. */
  static start(folder: string, relayUrl: string): V86Station {
    const kernel = join(folder, 'v86-station.elf')
    const flags = ['-m32', '-O1', '-Wall', '-ffreestanding', '-fno-pic', '-fno-stack-protector', '-fcf-protection=none']
    const link = ['-nostdlib', '-static', `-Wl,-m,elf_i386,-T,${join(guestFolder, 'v86-station.ld')},--build-id=none`]
    const quiet = '-Wl,--no-warn-rwx-segments'
    execFileSync('gcc', [...flags, ...link, quiet, '-o', kernel, join(guestFolder, 'v86-station.c')])
    return new V86Station(kernel, relayUrl)
  }

  private constructor(kernel: string, relayUrl: string) {
    // What browsers have, and Node since 22.
    Object.assign(globalThis, { WebSocket: globalThis.WebSocket ?? WebSocket })
    this.#emulator = new V86({
      wasm_path: wasm,
      memory_size: 8 * 1024 * 1024,
      multiboot: { buffer: new Uint8Array(readFileSync(kernel)).buffer },
      autostart: true,
      net_device: { type: 'ne2k', relay_url: relayUrl },
    })
    this.#emulator.add_listener('serial0-output-byte', (byte: number) => {
      this.#said += String.fromCharCode(byte)
    })
  }

  /** Whole lines. */
  get said(): string[] {
    return this.#said.split('\n').slice(0, -1)
  }

  async stop(): Promise<void> {
    await this.#emulator.destroy()
  }
}
