/** Rates of one port over the last minutes, drawn by uPlot, and said in words for those who do not see it. */
import type uPlot from 'uplot'
import { element } from './dom.js'
import { short } from './format.js'
import type { History } from './rates.js'

/** As the server has it beside this file. */
const LIBRARY: string = './uPlot.esm.js'

export class Chart {
  readonly #plot: uPlot
  readonly #host = element('chart')
  readonly #text = element('chart-text')

  static async load(): Promise<Chart> {
    const { default: Plot } = (await import(LIBRARY)) as { default: typeof uPlot }
    return new Chart(Plot)
  }

  private constructor(Plot: typeof uPlot) {
    const style = getComputedStyle(document.documentElement)
    const colour = (name: string) => style.getPropertyValue(name).trim()
    const axis = { stroke: colour('--faint'), grid: { stroke: colour('--line') }, ticks: { stroke: colour('--line') } }
    const value = (_plot: uPlot, raw: number | null) => (raw === null ? '–' : short(raw))
    this.#plot = new Plot(
      {
        width: this.#host.clientWidth || 400,
        height: 220,
        series: [
          {},
          { label: 'in', stroke: colour('--accent'), width: 2, value },
          { label: 'out', stroke: colour('--good'), width: 2, value },
          { label: 'dropped frames', stroke: colour('--bad'), width: 2, scale: 'drops', value },
        ],
        scales: { y: { range: fromZero }, drops: { range: fromZero } },
        axes: [axis, { ...axis, size: 60, values: (_plot: uPlot, splits: number[]) => splits.map(short) }],
      },
      [[], [], [], []],
      this.#host,
    )
    new ResizeObserver(() => this.#plot.setSize({ width: this.#host.clientWidth, height: 220 })).observe(this.#host)
  }

  show(history: History, id: number, name: string, unit: 'bits' | 'frames'): void {
    const { times, values } = history.series(id, unit === 'bits' ? 'inBits' : 'inFrames')
    const out = history.series(id, unit === 'bits' ? 'outBits' : 'outFrames').values
    const drops = history.series(id, 'drops').values
    this.#plot.setData([times, values, out, drops])
    const word = unit === 'bits' ? 'bit/s' : 'frames/s'
    const last = (all: readonly (number | null)[]) => short(all.at(-1) ?? 0)
    this.#text.textContent = `${name}: ${last(values)} ${word} in, ${last(out)} ${word} out, ${last(drops)} frames/s dropped.`
  }
}

function fromZero(_plot: unknown, _least: number, most: number): [number, number] {
  return [0, most > 0 ? most * 1.1 : 1]
}
