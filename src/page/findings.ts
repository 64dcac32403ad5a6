/** The banner above everything else: what is wrong now. */
import type { Finding } from './api.js'
import { element } from './dom.js'

export function showFindings(findings: readonly Finding[]): void {
  const list = element('findings')
  const texts = findings.map(({ subject: { kind, name }, message }) => `${kind} ${name}: ${message}`)
  // It is announced when it changes, and must not be each second.
  const shown = [...list.children].map(({ textContent }) => textContent)
  if (texts.length === shown.length && texts.every((text, i) => text === shown[i])) return
  list.hidden = texts.length === 0
  list.replaceChildren(
    ...findings.map(({ severity }, i) => {
      const item = document.createElement('li')
      item.textContent = texts[i] ?? ''
      item.className = severity
      return item
    }),
  )
}
