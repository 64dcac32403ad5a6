import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BpfProgram, checkBpf, compileBpf, FilterError, MAX_BPF_INSTRUCTIONS } from '#src/wire/bpf.js'

/** opcode, jump if true, jump if false, k */
type Instruction = [opcode: number, jt: number, jf: number, k: number]

function program(...instructions: Instruction[]): BpfProgram {
  return Uint32Array.from(instructions.flatMap(([opcode, jt, jf, k]) => [opcode | (jt << 16) | (jf << 24), k]))
}

const accept: Instruction = [0x06, 0, 0, 262_144]
const reject: Instruction = [0x06, 0, 0, 0]
const frame = Uint8Array.of(0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)

/** Runs a program on `captured` bytes that lie in the middle of others. */
function run(words: BpfProgram, captured = frame.length, length = frame.length): boolean {
  return compileBpf(words)(frame, 2, captured - 2, length - 2)
}

describe('a BPF program', () => {
  it('compares bytes, 16-bit and 32-bit words', () => {
    for (const [load, k, value] of [
      [0x30, 0, 1],
      [0x28, 2, 0x0304],
      [0x20, 4, 0x05060708],
    ]) {
      assert.equal(run(program([load, 0, 0, k], [0x15, 0, 1, value], accept, reject)), true)
      assert.equal(run(program([load, 0, 0, k], [0x15, 0, 1, value + 1], accept, reject)), false)
    }
  })

  it('matches nothing when it reads beyond the captured bytes, on the wire or not', () => {
    const lastByte = program([0x30, 0, 0, 11], accept)
    assert.equal(run(lastByte), true)
    assert.equal(run(lastByte, 13), false)
    assert.equal(run(program([0x28, 0, 0, 11], accept)), false)
    assert.equal(run(program([0x20, 0, 0, 0xffff_fffc], accept)), false)
    assert.equal(run(program([0xb1, 0, 0, 12], accept)), false)
  })

  it('does not wrap around to the front of the frame: X and k are added as numbers', () => {
    const wrapping = program([0x01, 0, 0, 0xffff_ffff], [0x50, 0, 0, 1], accept)
    assert.equal(run(wrapping), false)
  })

  it('knows the length on the wire', () => {
    const longerThan20 = program([0x80, 0, 0, 0], [0x25, 0, 1, 20], accept, reject)
    assert.equal(run(longerThan20, 14, 1514), true)
    assert.equal(run(longerThan20, 14, 22), false)
  })

  it('compares and divides as unsigned numbers', () => {
    assert.equal(run(program([0x00, 0, 0, 0xffff_ffff], [0x25, 0, 1, 5], accept, reject)), true)
    assert.equal(
      run(program([0x00, 0, 0, 0xffff_ffff], [0x34, 0, 0, 2], [0x15, 0, 1, 0x7fff_ffff], accept, reject)),
      true,
    )
  })

  it('matches nothing when it divides by a register that is 0', () => {
    for (const opcode of [0x3c, 0x9c]) assert.equal(run(program([opcode, 0, 0, 0], accept)), false)
  })

  it('shifts by a register of 32 or more to 0', () => {
    const shifted = program([0x00, 0, 0, 1], [0x01, 0, 0, 33], [0x6c, 0, 0, 0], [0x15, 0, 1, 0], accept, reject)
    assert.equal(run(shifted), true)
  })

  it('keeps words in scratch memory, which is 0 at first', () => {
    assert.equal(run(program([0x60, 0, 0, 7], [0x15, 0, 1, 0], accept, reject)), true)
    assert.equal(
      run(program([0, 0, 0, 9], [0x02, 0, 0, 3], [0x61, 0, 0, 3], [0x87, 0, 0, 0], [0x15, 0, 1, 9], accept, reject)),
      true,
    )
  })

  it('may be as long as allowed, with a jump from and to every instruction', () => {
    const jumps: Instruction[] = Array.from({ length: MAX_BPF_INSTRUCTIONS - 4 }, () => [0x15, 1, 0, 5])
    assert.equal(run(program(...jumps, [0, 0, 0, 1], accept, accept, reject)), true)
  })
})

describe('a program from elsewhere', () => {
  const bad: [string, BpfProgram][] = [
    ['is empty', program()],
    ['has half an instruction', Uint32Array.of(6)],
    ['is too long', program(...Array.from({ length: MAX_BPF_INSTRUCTIONS }, () => accept), accept)],
    ['does not end with a return', program([0x30, 0, 0, 0])],
    ['jumps out of itself', program([0x15, 9, 0, 1], accept)],
    ['jumps out of itself when a test fails', program([0x15, 0, 255, 1], accept)],
    ['jumps backwards', program([0x05, 0, 0, 0xffff_ffff], accept)],
    ['jumps out unconditionally', program([0x05, 0, 0, 1], accept)],
    ['has an unknown opcode', program([0xff, 0, 0, 0], accept)],
    ['has an opcode of more than a byte', program([0x106, 0, 0, 0], accept)],
    ['has an unknown operation', program([0xb4, 0, 0, 1], accept)],
    ['has an unknown size', program([0x38, 0, 0, 1], accept)],
    ['divides by the constant 0', program([0x34, 0, 0, 0], accept)],
    ['takes the rest of a division by the constant 0', program([0x94, 0, 0, 0], accept)],
    ['shifts by 32', program([0x64, 0, 0, 32], accept)],
    ['stores beyond the scratch memory', program([0x02, 0, 0, 16], accept)],
    ['loads from beyond the scratch memory', program([0x60, 0, 0, 16], accept)],
    ['loads X from beyond the scratch memory', program([0x61, 0, 0, 16], accept)],
  ]
  for (const [what, words] of bad) {
    it(`is refused when it ${what}`, () => {
      assert.throws(() => checkBpf(words), FilterError)
      assert.throws(() => compileBpf(words), FilterError)
    })
  }
})
