/**
 * The live page: looks at the switch once a second through its public API, and at once when an event says that
 * something changed. It keeps the rates of the last minutes itself; the switch keeps no history.
 */
import { askJson, type FdbEntry, type Finding, follow, type Port, type Switch, type SwitchEvent } from './api.js'
import { wireCapture } from './capture.js'
import { Chart } from './chart.js'
import { element, setOptions } from './dom.js'
import { showFindings } from './findings.js'
import { duration, short } from './format.js'
import { drawPicture } from './picture.js'
import { dropsOf, History } from './rates.js'
import { openSession } from './session.js'
import { showAddresses, showPorts } from './tables.js'

const LOOK_MS = 1000
/** Addresses are many and change slowly. */
const FDB_EVERY = 3
const MOST_ADDRESSES = 1000
const MOST_EVENTS = 200
/** Events after which the switch is looked at without waiting. */
const urgentEvents = new Set([
  'port-added',
  'port-up',
  'port-down',
  'port-removed',
  'events-suppressed',
  'finding-raised',
  'finding-cleared',
])

const history = new History()
const chosen = element<HTMLSelectElement>('chart-port')
let chart: Chart | undefined
let info: Switch | undefined
let ports: Port[] = []
let addresses: { total: number; entries: FdbEntry[] } = { total: 0, entries: [] }
let looks = 0
let timer: number | undefined

async function look(): Promise<void> {
  clearTimeout(timer)
  try {
    const [asked, listed, wrong] = await Promise.all([
      askJson<Switch>('v1/switch'),
      askJson<{ ports: Port[] }>('v1/ports'),
      askJson<{ findings: Finding[] }>('v1/findings'),
    ])
    info = asked
    ports = listed.ports
    showFindings(wrong.findings)
    history.add(ports, Date.now() / 1000)
    if (looks++ % FDB_EVERY === 0) addresses = await askJson(`v1/fdb?limit=${MOST_ADDRESSES}`)
    show(info)
  } catch (error) {
    setState((error as Error).message, 'bad')
  }
  timer = setTimeout(look, LOOK_MS) as unknown as number
}

function show({ name, version, startedAt, dataplane, fdb }: Switch): void {
  document.title = `${name} – tapswitch`
  element('name').textContent = name
  const running = duration((Date.now() - Date.parse(startedAt)) / 1000)
  setState(
    dataplane.alive ? `tapswitch ${version}, running for ${running}` : 'the data plane does not turn',
    dataplane.alive ? 'good' : 'bad',
  )
  const { inBits, inFrames } = history.total()
  setTotals([
    ['ports up', `${ports.filter(({ up }) => up).length} of ${ports.length}`],
    ['traffic', `${short(inBits)} bit/s, ${short(inFrames)} frames/s`],
    ['dropped', short(ports.reduce((sum, port) => sum + dropsOf(port), 0))],
    ['addresses', `${fdb.entries} of ${fdb.capacity}`],
  ])
  const options = ports.map(port => ({ value: String(port.id), text: port.name }))
  setOptions(chosen, options)
  setOptions(element<HTMLSelectElement>('capture-port'), [{ value: '', text: 'all' }, ...options])
  drawPicture(element('picture'), name, ports, history, choose)
  showPorts(ports, history, choose)
  showAddresses(addresses.entries, addresses.total, element<HTMLInputElement>('fdb-search').value)
  showChart()
}

function showChart(): void {
  const port = ports.find(({ id }) => String(id) === chosen.value)
  const unit = element<HTMLSelectElement>('chart-unit').value === 'frames' ? 'frames' : 'bits'
  if (port !== undefined) chart?.show(history, port.id, port.name, unit)
}

function choose(id: number): void {
  chosen.value = String(id)
  showChart()
}

function setTotals(totals: readonly (readonly [string, string])[]): void {
  const host = element('totals')
  host.replaceChildren(
    ...totals.map(([name, value]) => {
      const pair = document.createElement('div')
      const term = document.createElement('dt')
      const definition = document.createElement('dd')
      term.textContent = name
      definition.textContent = value
      pair.append(term, definition)
      return pair
    }),
  )
}

function setState(text: string, kind: 'good' | 'bad' | ''): void {
  const state = element('state')
  // It is announced when it changes, and the minutes should not be.
  if (state.textContent !== text) state.textContent = text
  state.className = kind
}

/** Why no events come; they are beside the point while nothing else does. */
function showEventTrouble(words: string): void {
  const state = element('events-state')
  if (state.textContent !== words) state.textContent = words
  state.hidden = words === ''
}

function showEvent({ type, data }: SwitchEvent): void {
  if (urgentEvents.has(type)) void look()
  const { at, type: _type, id: _id, ...fields } = data
  const item = document.createElement('li')
  const time = document.createElement('time')
  time.textContent = typeof at === 'string' ? new Date(at).toLocaleTimeString() : ''
  const words = Object.entries(fields)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
  item.append(time, ` ${type} `, words.join(', '))
  const list = element('events')
  list.prepend(item)
  while (list.children.length > MOST_EVENTS) list.lastElementChild?.remove()
}

element('fdb-search').addEventListener('input', event => {
  showAddresses(addresses.entries, addresses.total, (event.target as HTMLInputElement).value)
})
chosen.addEventListener('change', showChart)
element('chart-unit').addEventListener('change', showChart)
wireCapture()
void Chart.load().then(loaded => {
  chart = loaded
  showChart()
})
setState('connecting', '')
void openSession()
void look()
follow(showEvent, showEventTrouble)
