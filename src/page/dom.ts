/** The few things this page does with the document. */

/** The element with this id, which the page has. */
export function element<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`no element ${id}`)
  return found as Kind
}

/** A cell of a table; what comes from the switch is only ever text. */
export function cell(content: string | Node, className = ''): HTMLTableCellElement {
  const made = document.createElement('td')
  made.append(content)
  if (className !== '') made.className = className
  return made
}

/** Fills a list of choices, if it differs, and keeps what was chosen. */
export function setOptions(select: HTMLSelectElement, options: readonly { value: string; text: string }[]): void {
  const same =
    select.options.length === options.length &&
    options.every(({ value, text }, i) => select.options[i]?.value === value && select.options[i]?.text === text)
  if (same) return
  const chosen = select.value
  select.replaceChildren(...options.map(({ value, text }) => new Option(text, value)))
  if (options.some(({ value }) => value === chosen)) select.value = chosen
}
