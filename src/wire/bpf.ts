/**
 * Runs classic BPF programs, the form into which libpcap compiles a filter expression (os/pcap.ts).
 *
 * libpcap knows the expression language; this file knows the 40 instructions of the machine (McCanne and Jacobson 1993;
 * the opcodes are those of linux/bpf_common.h and net/bpf.h). Each thread that filters frames receives the program as
 * plain words and turns it into a JavaScript function once. V8 compiles that function to machine code, which costs a
 * tenth of an interpreter's time.
 *
 * A program is input like any other: `checkBpf` refuses an unknown opcode, a jump that leaves the program, a division
 * by the constant zero and a shift by 32 or more, and a program that is too long. Jumps only go forward, so every
 * program ends. The generated source consists of fixed text and integers, so no program can put text of its own into
 * it.
 *
 * Jumps become labelled blocks: the block of instruction 7 ends right before instruction 7, and a jump to it is `break
 * L7`. That works because jumps only go forward. A jump to a return is the return itself.
 */

/**
 * Two words for each instruction, as `struct bpf_insn` lies in little-endian memory: opcode | jt << 16 | jf << 24, then
 * k.
 */
export type BpfProgram = Uint32Array

/**
 * Whether a frame matches.
 * @param captured bytes of the frame that are present at `offset`; the program reads no byte beyond them
 * @param length bytes of the frame on the wire, at least `captured`
 */
export type FrameFilter = (bytes: Uint8Array, offset: number, captured: number, length: number) => boolean

/** A filter that is refused; the message is one sentence without a full stop. */
export class FilterError extends Error {
  override readonly name = 'FilterError'
}

/**
 * Each instruction may open a block in the generated source; V8's parser takes more than 2,000 nested blocks on the
 * main thread.
 */
export const MAX_BPF_INSTRUCTIONS = 1024
const SCRATCH_WORDS = 16

const Class = { ld: 0, ldx: 1, st: 2, stx: 3, alu: 4, jmp: 5, ret: 6, misc: 7 } as const
const Mode = { imm: 0x00, abs: 0x20, ind: 0x40, mem: 0x60, len: 0x80, msh: 0xa0 } as const
const Size = { word: 0x00, half: 0x08, byte: 0x10 } as const
/** Operand of ALU and jump instructions: X where set, k otherwise. */
const SOURCE_X = 0x08
const RETURN_A = 0x10
const JUMP_ALWAYS = 0x00

/** By the upper four bits of the opcode. `b` is the operand, a signed 32-bit integer. */
const arithmetic: Readonly<Record<number, (b: string) => string>> = {
  0: b => `a = (a + ${b}) | 0`,
  1: b => `a = (a - ${b}) | 0`,
  2: b => `a = Math.imul(a, ${b})`,
  3: b => `if (${b} === 0) return false; a = ((a >>> 0) / (${b} >>> 0)) | 0`,
  4: b => `a = a | ${b}`,
  5: b => `a = a & ${b}`,
  6: b => `a = (${b} >>> 0) < 32 ? a << ${b} : 0`,
  7: b => `a = (${b} >>> 0) < 32 ? (a >>> ${b}) | 0 : 0`,
  8: () => 'a = -a | 0',
  9: b => `if (${b} === 0) return false; a = ((a >>> 0) % (${b} >>> 0)) | 0`,
  10: b => `a = a ^ ${b}`,
}
const [DIVIDE, SHIFT_LEFT, SHIFT_RIGHT, NEGATE, MODULO] = [3, 6, 7, 8, 9]

const comparisons: Readonly<Record<number, (b: string) => string>> = {
  1: b => `a === ${b}`,
  2: b => `(a >>> 0) > (${b} >>> 0)`,
  3: b => `(a >>> 0) >= (${b} >>> 0)`,
  4: b => `(a & ${b}) !== 0`,
}

const sizes: Readonly<Record<number, { bytes: number; read: (at: string) => string }>> = {
  [Size.word]: {
    bytes: 4,
    read: at => `(bytes[${at}] << 24) | (bytes[${at} + 1] << 16) | (bytes[${at} + 2] << 8) | bytes[${at} + 3]`,
  },
  [Size.half]: { bytes: 2, read: at => `(bytes[${at}] << 8) | bytes[${at} + 1]` },
  [Size.byte]: { bytes: 1, read: at => `bytes[${at}]` },
}

/** @throws FilterError when the program is not one that `compileBpf` can run */
export function checkBpf(program: BpfProgram): void {
  const count = program.length / 2
  if (!Number.isInteger(count) || count === 0) throw new FilterError('the program has no whole instructions')
  if (count > MAX_BPF_INSTRUCTIONS) {
    throw new FilterError(`the filter needs ${count} instructions, at most ${MAX_BPF_INSTRUCTIONS} are allowed`)
  }
  for (let at = 0; at < count; at++) checkInstruction(program, at, count)
  if ((program[2 * count - 2] & 7) !== Class.ret) throw new FilterError('the program does not end with a return')
}

/**
 * Makes a function of a program. Reading beyond the captured bytes and dividing by a register that is zero means no
 * match.
 * @throws FilterError
 */
export function compileBpf(program: BpfProgram): FrameFilter {
  checkBpf(program)
  return new Function('bytes', 'offset', 'captured', 'length', sourceOf(program)) as FrameFilter
}

function checkInstruction(program: BpfProgram, at: number, count: number): void {
  const word = program[2 * at]
  const k = program[2 * at + 1]
  const opcode = word & 0xffff
  const operation = opcode >> 4
  if (!isKnown(opcode)) throw new FilterError(`instruction ${at} has the unknown opcode 0x${opcode.toString(16)}`)
  const kind = opcode & 7
  if (kind === Class.st || kind === Class.stx || ((kind === Class.ld || kind === Class.ldx) && isScratch(opcode))) {
    if (k >= SCRATCH_WORDS) throw new FilterError(`instruction ${at} uses a scratch word beyond ${SCRATCH_WORDS - 1}`)
  }
  if (kind === Class.alu && (opcode & SOURCE_X) === 0) {
    if ((operation === DIVIDE || operation === MODULO) && k === 0)
      throw new FilterError(`instruction ${at} divides by 0`)
    if ((operation === SHIFT_LEFT || operation === SHIFT_RIGHT) && k > 31) {
      throw new FilterError(`instruction ${at} shifts by more than 31`)
    }
  }
  if (kind === Class.jmp) {
    const targets = operation === JUMP_ALWAYS ? [at + 1 + k] : [at + 1 + ((word >>> 16) & 255), at + 1 + (word >>> 24)]
    // k is unsigned: a jump back, as `protochain` makes, is one far beyond the end.
    if (targets.some(target => target >= count)) {
      throw new FilterError(`instruction ${at} jumps out of the program or backwards, as "protochain" does`)
    }
  }
}

function isKnown(opcode: number): boolean {
  const kind = opcode & 7
  const mode = opcode & 0xe0
  const size = opcode & 0x18
  if (opcode > 0xff) return false
  switch (kind) {
    case Class.ld:
      if (mode === Mode.abs || mode === Mode.ind) return size in sizes
      return size === 0 && (mode === Mode.imm || mode === Mode.mem || mode === Mode.len)
    case Class.ldx:
      if (mode === Mode.msh) return size === Size.byte
      return size === 0 && (mode === Mode.imm || mode === Mode.mem || mode === Mode.len)
    case Class.st:
    case Class.stx:
      return opcode === kind
    case Class.alu:
      return opcode >> 4 in arithmetic && (opcode >> 4 !== NEGATE || (opcode & SOURCE_X) === 0)
    case Class.jmp:
      return opcode === Class.jmp || opcode >> 4 in comparisons
    case Class.ret:
      return opcode === Class.ret || opcode === (Class.ret | RETURN_A)
    default:
      return opcode === Class.misc || opcode === (Class.misc | 0x80)
  }
}

function isScratch(opcode: number): boolean {
  return (opcode & 0xe0) === Mode.mem
}

/** The body of the function. The program has been checked. */
function sourceOf(program: BpfProgram): string {
  const count = program.length / 2
  const targets = new Set<number>()
  const lines: string[] = []
  for (let at = 0; at < count; at++) lines.push(statement(program, at, targets))
  const opened = [...targets].sort((one, other) => other - one).map(target => `L${target}: {`)
  const scratch = Array.from({ length: SCRATCH_WORDS }, (_, i) => `m${i} = 0`).join(', ')
  const body = lines.map((line, at) => (targets.has(at) ? `} ${line}` : line))
  return `'use strict'; let a = 0, x = 0, ${scratch};\n${opened.join(' ')}\n${body.join('\n')}`
}

function statement(program: BpfProgram, at: number, targets: Set<number>): string {
  const opcode = program[2 * at] & 0xff
  const k = program[2 * at + 1]
  const operand = (opcode & SOURCE_X) === 0 ? `(${k | 0})` : 'x'
  switch (opcode & 7) {
    case Class.ld:
      return load(opcode, k)
    case Class.ldx:
      return loadIndex(opcode, k)
    case Class.st:
      return `m${k} = a;`
    case Class.stx:
      return `m${k} = x;`
    case Class.alu:
      return `${arithmetic[opcode >> 4](operand)};`
    case Class.jmp:
      return jump(program, at, operand, targets)
    case Class.ret:
      return `${returned(program, at)};`
    default:
      return opcode === Class.misc ? 'x = a;' : 'a = x;'
  }
}

function load(opcode: number, k: number): string {
  const mode = opcode & 0xe0
  if (mode === Mode.imm) return `a = ${k | 0};`
  if (mode === Mode.mem) return `a = m${k};`
  if (mode === Mode.len) return 'a = length;'
  const { bytes, read } = sizes[opcode & 0x18]
  if (mode === Mode.abs) return `if (captured < ${k + bytes}) return false; a = ${read(`offset + ${k}`)};`
  // As numbers, not as 32-bit integers: a sum beyond 2^32 must not wrap to the front of the frame.
  return `if ((x >>> 0) + ${k + bytes} > captured) return false; a = ${read(`offset + x + ${k}`)};`
}

function loadIndex(opcode: number, k: number): string {
  const mode = opcode & 0xe0
  if (mode === Mode.imm) return `x = ${k | 0};`
  if (mode === Mode.mem) return `x = m${k};`
  if (mode === Mode.len) return 'x = length;'
  return `if (captured <= ${k}) return false; x = (bytes[offset + ${k}] & 15) << 2;`
}

function jump(program: BpfProgram, at: number, operand: string, targets: Set<number>): string {
  const word = program[2 * at]
  const operation = (word & 0xff) >> 4
  const goTo = (target: number): string => {
    if (target === at + 1) return ''
    if ((program[2 * target] & 7) === Class.ret) return returned(program, target)
    targets.add(target)
    return `break L${target}`
  }
  if (operation === JUMP_ALWAYS) return `${goTo(at + 1 + program[2 * at + 1])};`
  const then = goTo(at + 1 + ((word >>> 16) & 255))
  const otherwise = goTo(at + 1 + (word >>> 24))
  return `if (${comparisons[operation](operand)}) { ${then} } else { ${otherwise} }`
}

function returned(program: BpfProgram, at: number): string {
  if ((program[2 * at] & RETURN_A) !== 0) return 'return a !== 0'
  return program[2 * at + 1] === 0 ? 'return false' : 'return true'
}
