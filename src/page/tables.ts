/** The ports and the addresses, as tables. */
import type { FdbEntry, Port } from './api.js'
import { cell, element } from './dom.js'
import { age, short } from './format.js'
import { dropsOf, type History } from './rates.js'

export function showPorts(ports: readonly Port[], history: History, choose: (id: number) => void): void {
  const body = bodyOf('port-table')
  const focused = document.activeElement?.getAttribute('data-row')
  body.replaceChildren(
    ...ports.map(port => {
      const { inBits, outBits, drops } = history.now(port.id)
      const row = document.createElement('tr')
      const button = document.createElement('button')
      button.type = 'button'
      button.textContent = port.name
      button.setAttribute('data-row', String(port.id))
      button.addEventListener('click', () => choose(port.id))
      row.append(
        cell(button),
        cell(port.kind),
        cell(port.up ? 'up' : 'down'),
        cell(`${short(inBits)} bit/s`, 'number'),
        cell(`${short(outBits)} bit/s`, 'number'),
        cell(short(dropsOf(port)), drops > 0 ? 'number bad' : 'number'),
        cell(String(port.counters.queueFrames), 'number'),
        cell(String(port.counters.fdbEntries), 'number'),
        cell(port.peer ?? '–'),
      )
      return row
    }),
  )
  if (focused) body.querySelector<HTMLElement>(`[data-row="${focused}"]`)?.focus()
}

/** Entries whose address or port contains what is searched for. */
export function matching(entries: readonly FdbEntry[], search: string): FdbEntry[] {
  const wanted = search.trim().toLowerCase().replaceAll('-', ':')
  return entries.filter(
    ({ mac, port }) => mac.includes(wanted) || port.toLowerCase().includes(search.trim().toLowerCase()),
  )
}

export function showAddresses(entries: readonly FdbEntry[], total: number, search: string): void {
  const found = matching(entries, search)
  const missing = total > entries.length ? `, of the first ${entries.length}` : ''
  element('fdb-count').textContent = search === '' ? `${total} addresses` : `${found.length} match${missing}`
  bodyOf('fdb-table').replaceChildren(
    ...found.map(({ mac, port, ageSeconds }) => {
      const row = document.createElement('tr')
      row.append(cell(mac), cell(port), cell(age(ageSeconds)))
      return row
    }),
  )
}

function bodyOf(id: string): HTMLTableSectionElement {
  return element<HTMLTableElement>(id).tBodies[0] as HTMLTableSectionElement
}
