/**
 * Compiles filter expressions in a child process of a moment's life.
 *
 * Expressions come from clients of the API, and libpcap was not made for hostile ones: 1,024 characters of port ranges
 * take 8 s of CPU time, its optimiser recurses for each block of the program (128 KiB of stack, what koffi gives an
 * asynchronous call, end in a segmentation fault), and a name that the check of the text missed would wait for a name
 * server. In a child process each of these costs an error message. The child takes about 80 ms, once for each capture.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { OperatorError } from '../errors.js'
import { type BpfProgram, checkBpf, FilterError } from '../wire/bpf.js'
import { checkFilterText } from '../wire/filter-text.js'

/** What the child prints, as JSON. */
export type CompilerAnswer = { program: number[] } | { refused: string } | { missing: string }

/** Milliseconds; the slowest expression that the check of the text lets through takes 1.5 s on a slow machine. */
const TIMEOUT_MS = 10_000
/** Children at a time; each keeps a core busy. Others wait their turn. */
const AT_ONCE = 2
/** Bytes; a program of 1,024 instructions is 20 KiB of JSON. */
const MAX_ANSWER = 256 * 1024
const childProgram = fileURLToPath(new URL('./filter-compiler-child.js', import.meta.url))

let running = 0
const waiting: (() => void)[] = []

/**
 * The caller bounds how many expressions wait at once.
 * @throws FilterError when the expression is refused
 * @throws OperatorError when this machine has no libpcap
 */
export async function compileFilter(expression: string): Promise<BpfProgram> {
  checkFilterText(expression)
  const answer = await inTurn(() => ask(expression))
  if ('missing' in answer) throw new OperatorError(answer.missing)
  if ('refused' in answer) throw new FilterError(answer.refused)
  const program = Uint32Array.from(answer.program)
  checkBpf(program)
  return program
}

async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  if (running === AT_ONCE) await new Promise<void>(resolve => waiting.push(resolve))
  else running++
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    // The next one takes over the place.
    if (next === undefined) running--
    else next()
  }
}

function ask(expression: string): Promise<CompilerAnswer> {
  const { TAPSWITCH_LIBPCAP } = process.env
  const env = TAPSWITCH_LIBPCAP === undefined ? {} : { TAPSWITCH_LIBPCAP }
  const options = { env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' as const, maxBuffer: MAX_ANSWER }
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [childProgram], options, (error, stdout) => {
      if (error === null) resolve(JSON.parse(stdout) as CompilerAnswer)
      else if (error.killed === true) reject(new FilterError(`libpcap needs more than ${TIMEOUT_MS / 1000} s for it`))
      else if (error.signal != null) reject(new FilterError(`libpcap crashes on it (${error.signal})`))
      else reject(new OperatorError(`the filter compiler does not start: ${error.message.split('\n')[0]}`))
    })
    // A child that does not start has no pipe to write to; the callback says why.
    child.stdin?.on('error', () => {})
    child.stdin?.end(expression)
  })
}
