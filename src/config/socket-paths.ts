/**
 * The unix socket paths of one configuration: made absolute, short enough for a socket address, each used once, and
 * none leading from this switch to itself.
 */
import { resolve } from 'node:path'
import type { Problem } from '../errors.js'
import { valueText } from './messages.js'

/** Bytes of a path in a socket address without its NUL: `sun_path` has 108 on Linux and 104 on macOS. */
export function maxSocketPathBytes(platform: NodeJS.Platform): number {
  return platform === 'linux' ? 107 : 103
}

export class SocketPaths {
  readonly #runtimeDir: string
  readonly #maxBytes: number
  readonly #problems: Problem[]
  readonly #own = new Map<string, string>()
  readonly #remote = new Map<string, string>()

  constructor(runtimeDir: string, platform: NodeJS.Platform, problems: Problem[]) {
    this.#runtimeDir = runtimeDir
    this.#maxBytes = maxSocketPathBytes(platform)
    this.#problems = problems
  }

  /** A socket file this switch makes; `option` is where it is configured. Returns the absolute path. */
  own(path: string, option: string): string {
    const absolute = this.#absolute(path, option)
    const first = this.#own.get(absolute)
    if (first === undefined) this.#own.set(absolute, option)
    else this.#add(option, `${valueText(absolute)} is taken by ${first}; every socket needs a path of its own`)
    return absolute
  }

  /** A socket file somebody else makes. */
  remote(path: string, option: string): string {
    const absolute = this.#absolute(path, option)
    const first = this.#remote.get(absolute)
    if (first === undefined) this.#remote.set(absolute, option)
    else this.#add(option, `${valueText(absolute)} is taken by ${first}; two ports to one peer are a loop`)
    return absolute
  }

  /** A port that sends to a socket of its own switch gets back every frame that is flooded. */
  checkLoops(): void {
    for (const [path, option] of this.#remote) {
      const own = this.#own.get(path)
      if (own !== undefined) this.#add(option, `${valueText(path)} is this switch's own socket, ${own}; that is a loop`)
    }
  }

  #absolute(path: string, option: string): string {
    const absolute = resolve(this.#runtimeDir, path)
    const bytes = Buffer.byteLength(absolute)
    if (bytes > this.#maxBytes) {
      this.#add(option, `${valueText(absolute)} is ${bytes} bytes, at most ${this.#maxBytes} allowed on this system`)
    }
    return absolute
  }

  #add(path: string, message: string): void {
    this.#problems.push({ path, message })
  }
}
