/** XPC dictionaries: what vmnet is asked with, and what it answers with. */

import { OperatorError } from '../errors.js'
import { NativeMemory } from '../os/native-memory.js'
import type { VmnetLibrary } from './library.js'
import { memoryAt } from './memory.js'

/** One to hand over. Keys are names such as `mtu`, for `vmnet_mtu_key`. */
export class XpcDictionary {
  readonly address: number
  readonly #library: VmnetLibrary
  readonly #uuids: NativeMemory[] = []
  #released = false

  constructor(library: VmnetLibrary) {
    this.#library = library
    this.address = library.system.xpcDictionaryCreate(0, 0, 0)
    if (this.address === 0) throw new OperatorError('no memory for an XPC dictionary')
  }

  uint64(key: string, value: number): void {
    this.#library.system.xpcSetUint64(this.address, this.#key(key), value)
  }

  bool(key: string, value: boolean): void {
    this.#library.system.xpcSetBool(this.address, this.#key(key), value)
  }

  string(key: string, value: string): void {
    this.#library.system.xpcSetString(this.address, this.#key(key), value)
  }

  /** `value` as text with hyphens. */
  uuid(key: string, value: string): void {
    const memory = new NativeMemory(16)
    memory.bytes.set(Buffer.from(value.replaceAll('-', ''), 'hex'))
    this.#uuids.push(memory)
    this.#library.system.xpcSetUuid(this.address, this.#key(key), memory.address)
  }

  /** Idempotent. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#library.system.xpcRelease(this.address)
  }

  #key(name: string): string {
    const text = this.#library.key(name)
    if (text === undefined) throw new OperatorError(`this version of macOS is too old for vmnet_${name}_key`)
    return text
  }
}

/** One that was handed to us, valid as long as the callback that got it runs. Undefined where a value is missing. */
export class XpcReader {
  readonly #library: VmnetLibrary
  readonly #address: number

  constructor(library: VmnetLibrary, address: number) {
    this.#library = library
    this.#address = address
  }

  uint64(key: string): number | undefined {
    const text = this.#present(key)
    return text === undefined ? undefined : Number(this.#library.system.xpcGetUint64(this.#address, text))
  }

  string(key: string): string | undefined {
    const text = this.#present(key)
    return text === undefined ? undefined : (this.#library.system.xpcGetString(this.#address, text) ?? undefined)
  }

  /** As text with hyphens, lower case. */
  uuid(key: string): string | undefined {
    const text = this.#present(key)
    const address = text === undefined ? 0 : this.#library.system.xpcGetUuid(this.#address, text)
    if (address === 0) return undefined
    const hex = Buffer.from(memoryAt(address, 16)).toString('hex')
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }

  #present(key: string): string | undefined {
    if (this.#address === 0) return undefined
    const text = this.#library.key(key)
    return text !== undefined && this.#library.system.xpcGetValue(this.#address, text) !== 0 ? text : undefined
  }
}

/** Strings of an XPC array, which is released. Empty for NULL. */
export function takeStrings(library: VmnetLibrary, array: number): string[] {
  if (array === 0) return []
  const { xpcArrayCount, xpcArrayString, xpcRelease } = library.system
  const strings = Array.from({ length: Number(xpcArrayCount(array)) }, (_, i) => xpcArrayString(array, i))
  xpcRelease(array)
  return strings.filter(text => text !== null)
}
