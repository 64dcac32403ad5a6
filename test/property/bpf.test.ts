/** Random BPF programs against an interpreter that follows the description of the machine word by word. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BpfProgram, checkBpf, compileBpf, FilterError } from '#src/wire/bpf.js'
import { Random } from '../support/random.js'
import { scale } from '../support/scale.js'
import { seed } from '../support/seed.js'

const PROGRAMS = 4000 * scale
const loads = [0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80]
const indexLoads = [0x01, 0x61, 0x81, 0xb1]
const arithmetic = [0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x94, 0xa4].flatMap(code => [code, code | 8])
const jumps = [0x05, 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d]
const others = [0x02, 0x03, 0x84, 0x07, 0x87, 0x06, 0x16]

describe('compiled BPF programs', () => {
  it('decide as an interpreter does, and a random program is run or refused, nothing else', () => {
    const random = new Random(seed)
    const outcomes = { refused: 0, true: 0, false: 0 }
    for (let i = 0; i < PROGRAMS; i++) {
      const program = randomProgram(random)
      const bytes = new Uint8Array(random.between(0, 60))
      random.fill(bytes)
      for (let at = 0; at < bytes.length; at++) if (random.between(0, 2) === 0) bytes[at] &= 7
      const memory = new Uint8Array(bytes.length + 10).fill(0xee)
      memory.set(bytes, 5)
      const length = bytes.length + random.pick([0, 100])
      const mine = outcomeOf(program, memory, bytes.length, length)
      outcomes[mine === null ? 'refused' : mine ? 'true' : 'false']++
      if (mine !== null) assert.equal(mine, interpret(program, bytes, length), `program ${i}: ${[...program]}`)
    }
    assert.ok(Math.min(outcomes.refused, outcomes.true, outcomes.false) > PROGRAMS / 50, JSON.stringify(outcomes))
  })
})

function outcomeOf(program: BpfProgram, memory: Uint8Array, captured: number, length: number): boolean | null {
  try {
    checkBpf(program)
  } catch (error) {
    if (error instanceof FilterError) return null
    throw error
  }
  return compileBpf(program)(memory, 5, captured, length)
}

function randomProgram(random: Random): BpfProgram {
  const count = random.between(2, 40)
  const words: number[] = []
  for (let at = 0; at < count - 2; at++) {
    const left = count - at - 2
    const code = random.pick(random.pick([loads, loads, indexLoads, arithmetic, arithmetic, jumps, jumps, others]))
    const isJump = code !== 0x05 && (code & 7) === 5
    const isScratch = code === 0x02 || code === 0x03 || code === 0x60 || code === 0x61
    const small = random.between(0, 20)
    const k = isScratch ? random.between(0, 15) : random.pick([small, small, small, 0x800, 0x8000_0000, 0xffff_fff8])
    const far = random.between(0, 300) === 0 ? 200 : left
    const jt = isJump ? random.between(0, Math.min(far, 255)) : 0
    const jf = isJump ? random.between(0, Math.min(left, 255)) : 0
    words.push((code | (jt << 16) | (jf << 24)) >>> 0, code === 0x05 ? random.between(0, left) : k)
  }
  words.push(0x06, 0, 0x06, 262_144)
  return Uint32Array.from(words)
}

/** McCanne and Jacobson 1993, with 32-bit registers as BigInt. */
function interpret(program: BpfProgram, bytes: Uint8Array, length: number): boolean {
  const mask = 0xffff_ffffn
  const scratch = new Array<bigint>(16).fill(0n)
  let [a, x] = [0n, 0n]
  for (let at = 0; ; at++) {
    const [code, jt, jf] = [program[2 * at] & 0xffff, (program[2 * at] >>> 16) & 255, program[2 * at] >>> 24]
    const k = BigInt(program[2 * at + 1])
    const operand = (code & 8) === 0 ? k : x
    const read = (start: bigint, size: number): bigint | null => {
      if (start + BigInt(size) > BigInt(bytes.length)) return null
      return bytes.subarray(Number(start), Number(start) + size).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    }
    const kind = code & 7
    if (kind === 6) return (code === 0x06 ? k : a) !== 0n
    if (kind === 0 || kind === 1) {
      const mode = code & 0xe0
      const size = { 0: 4, 8: 2, 16: 1 }[code & 0x18] ?? 0
      let value: bigint | null
      if (mode === 0) value = k
      else if (mode === 0x60) value = scratch[Number(k)]
      else if (mode === 0x80) value = BigInt(length)
      else if (mode === 0xa0) value = nibble(read(k, 1))
      else value = read(mode === 0x20 ? k : x + k, size)
      if (value === null) return false
      if (kind === 0) a = value
      else x = value
    } else if (kind === 2) scratch[Number(k)] = a
    else if (kind === 3) scratch[Number(k)] = x
    else if (kind === 7) {
      if (code === 0x07) x = a
      else a = x
    } else if (kind === 5) {
      const operation = code >> 4
      if (operation === 0) at += Number(k)
      else {
        const holds = [false, a === operand, a > operand, a >= operand, (a & operand) !== 0n][operation]
        at += holds ? jt : jf
      }
    } else {
      const operation = code >> 4
      if ((operation === 3 || operation === 9) && operand === 0n) return false
      const results = [
        () => a + operand,
        () => a - operand,
        () => a * operand,
        () => a / operand,
        () => a | operand,
        () => a & operand,
        () => (operand < 32n ? a << operand : 0n),
        () => (operand < 32n ? a >> operand : 0n),
        () => -a,
        () => a % operand,
        () => a ^ operand,
      ]
      a = results[operation]() & mask
    }
  }
}

function nibble(byte: bigint | null): bigint | null {
  return byte === null ? null : (byte & 15n) << 2n
}
