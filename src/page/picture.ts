/** The switch as a picture: ports around it, lines coloured by load. The table below says the same in words. */
import type { Port } from './api.js'
import { short } from './format.js'
import { HEIGHT, heat, MOST_SHOWN, placesOf, WIDTH } from './layout.js'
import type { History } from './rates.js'

/** Seconds for which a drop stays visible. */
const DROP_SECONDS = 5

export function drawPicture(
  host: HTMLElement,
  name: string,
  ports: readonly Port[],
  history: History,
  choose: (id: number) => void,
): void {
  const focused = document.activeElement?.getAttribute('data-port')
  const svg = shape('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'group', 'aria-label': `${name} and its ports` })
  const lines = shape('g', { 'aria-hidden': 'true' })
  const nodes = shape('g', {})
  for (const { item, x, y } of placesOf(ports)) {
    lines.append(line(item, x, y, history))
    nodes.append(node(item, x, y, history, choose))
  }
  svg.append(lines, nodes, hub(name))
  if (ports.length > MOST_SHOWN)
    svg.append(words(`and ${ports.length - MOST_SHOWN} more`, WIDTH / 2, HEIGHT - 6, 'kind'))
  if (ports.length === 0) svg.append(words('no ports yet', WIDTH / 2, HEIGHT / 2 + 50, 'kind'))
  host.replaceChildren(svg)
  if (focused) host.querySelector<SVGElement>(`[data-port="${focused}"]`)?.focus()
}

function line(port: Port, x: number, y: number, history: History): SVGElement {
  const { inBits, outBits } = history.now(port.id)
  const load = heat(inBits + outBits)
  return shape('line', {
    x1: WIDTH / 2,
    y1: HEIGHT / 2,
    x2: x,
    y2: y,
    // From a cool blue to a hot red.
    stroke: load === 0 ? 'currentColor' : `hsl(${Math.round(220 - 220 * load)} 75% 50%)`,
    'stroke-opacity': load === 0 ? 0.25 : 0.9,
    'stroke-width': (1 + 7 * load).toFixed(1),
  })
}

function node(port: Port, x: number, y: number, history: History, choose: (id: number) => void): SVGElement {
  const { inBits, outBits } = history.now(port.id)
  const drops = history.recentDrops(port.id, DROP_SECONDS)
  const said = [
    `${port.name} ${port.kind}`,
    port.up ? 'up' : 'down',
    `${short(inBits)} bit/s in`,
    `${short(outBits)} bit/s out`,
    ...(drops > 0 ? ['frames dropped lately'] : []),
  ].join(', ')
  const group = shape('g', {
    class: ['port', port.up ? 'up' : 'down', ...(drops > 0 ? ['drops'] : [])].join(' '),
    role: 'button',
    tabindex: 0,
    'data-port': port.id,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
  })
  // Names the group for screen readers too.
  const title = shape('title', {})
  title.textContent = `${said}${port.peer === null ? '' : `, ${port.peer}`}`
  group.append(
    title,
    shape('circle', { class: 'node', r: 13 }),
    words(port.kind, 0, 3, 'kind'),
    words(port.name, 0, 27),
  )
  group.addEventListener('click', () => choose(port.id))
  group.addEventListener('keydown', event => {
    if (event.key !== 'Enter' && event.key !== ' ') return
    event.preventDefault()
    choose(port.id)
  })
  return group
}

function hub(name: string): SVGElement {
  const group = shape('g', { 'aria-hidden': 'true' })
  const width = Math.min(280, Math.max(110, name.length * 10 + 30))
  group.append(
    shape('rect', { class: 'hub', x: WIDTH / 2 - width / 2, y: HEIGHT / 2 - 20, width, height: 40, rx: 8 }),
    words(name, WIDTH / 2, HEIGHT / 2 + 6, 'hub-name'),
  )
  return group
}

function words(text: string, x: number, y: number, className = ''): SVGElement {
  const element = shape('text', { x, y, 'aria-hidden': 'true', ...(className === '' ? {} : { class: className }) })
  element.textContent = text.length > 24 ? `${text.slice(0, 23)}…` : text
  return element
}

function shape(name: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name) as SVGElement
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value))
  return element
}
