/** The options the benchmarks have in common, read from the command line. A wrong one ends it with status 2. */
import { parseArgs } from 'node:util'

export interface BenchOptions {
  /** Length of a measuring window, seconds. */
  seconds: number
  rounds: number
  /** Frame sizes, bytes, header included, FCS not. */
  sizes: number[]
  /** Groups or keys of rows; empty: all. */
  only: string[]
  qlen: number
  full: 'wait' | 'drop'
  /** CPUs of forwarder, sender, receiver; empty: wherever the scheduler puts them. */
  cpu: number[]
  json: string | undefined
}

export function readOptions(defaults: Partial<BenchOptions> = {}): BenchOptions {
  try {
    return parse({ ...standard, ...defaults })
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exit(2)
  }
}

const standard: BenchOptions = {
  seconds: 2,
  rounds: 3,
  sizes: [64, 512, 1514, 9014],
  only: [],
  qlen: 512,
  full: 'wait',
  cpu: [],
  json: undefined,
}

function parse(defaults: BenchOptions): BenchOptions {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      sizes: { type: 'string' },
      only: { type: 'string' },
      qlen: { type: 'string' },
      full: { type: 'string' },
      cpu: { type: 'string' },
      json: { type: 'string' },
    },
  })
  const full = values.full ?? defaults.full
  if (full !== 'wait' && full !== 'drop') throw new Error('--full: wait or drop')
  return {
    seconds: values.seconds ? within('--seconds', values.seconds, 0.1, 60) : defaults.seconds,
    rounds: values.rounds ? whole('--rounds', values.rounds, 1, 100) : defaults.rounds,
    sizes: values.sizes ? values.sizes.split(',').map(size => whole('--sizes', size, 34, 9014)) : defaults.sizes,
    only: values.only ? values.only.split(',') : defaults.only,
    qlen: values.qlen ? whole('--qlen', values.qlen, 1, 65_536) : defaults.qlen,
    full,
    cpu: values.cpu ? values.cpu.split(',').map(cpu => whole('--cpu', cpu, 0, 1023)) : defaults.cpu,
    json: values.json ?? defaults.json,
  }
}

function within(option: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (!(value >= least && value <= most)) throw new Error(`${option}: ${text}: a number from ${least} to ${most}`)
  return value
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = within(option, text, least, most)
  if (!Number.isInteger(value)) throw new Error(`${option}: ${text}: a whole number`)
  return value
}
