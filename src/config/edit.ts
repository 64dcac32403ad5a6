/**
 * Changes in the text of a configuration, so that it says what runs: entries of the two lists added, removed or changed, and
 * options of the switch. Everything else stays as it was written, comments too. A JSON file stays JSON.
 */
import { type Document, isMap, isSeq, type Node, parseDocument, visit, type YAMLMap, type YAMLSeq } from 'yaml'
import type { Side } from './change.js'

export interface TextEdit {
  /** In order. Entries of the file that are not named here are removed. */
  readonly entries: Readonly<Record<Side, readonly EntryEdit[]>>
  /** Options to set, e.g. `[['switch', 'name'], 'lab']`. */
  readonly options: readonly Option[]
}

export type Option = readonly [path: readonly string[], value: unknown]

export type EntryEdit =
  | { readonly name: string; readonly is: 'kept' }
  /** `value` in the form of the file. */
  | { readonly name: string; readonly is: 'new' | 'replaced'; readonly value: unknown }
  /** Options within the entry. */
  | { readonly name: string; readonly is: 'changed'; readonly options: readonly Option[] }

/** Undefined when the lists are written in a way that cannot be edited entry by entry, e.g. with aliases. */
export function editConfigText(text: string, edit: TextEdit): string | undefined {
  const document = parseDocument(text)
  const isNothing = edit.options.length + edit.entries.transports.length + edit.entries.interfaces.length === 0
  if (document.contents === null && isNothing) return text
  // An empty document takes no keys, but becomes a mapping with the first of this kind.
  if (document.contents === null) document.set('transports', document.createNode([]))
  for (const side of ['interfaces', 'transports'] as const) {
    if (!editList(document, side, edit.entries[side])) return undefined
  }
  for (const [path, value] of edit.options) document.setIn(path, nodeOf(document, value))
  return isJson(text) ? `${JSON.stringify(document.toJS(), null, 2)}\n` : document.toString({ lineWidth: 0 })
}

function editList(document: Document.Parsed, side: Side, edits: readonly EntryEdit[]): boolean {
  const written = document.get(side)
  if (written === undefined || written === null) {
    if (edits.length === 0) return true
    document.set(side, document.createNode([]))
  } else if (!isSeq(written) || !written.items.every(isMap)) return false
  const list = document.get(side) as YAMLSeq<YAMLMap>
  list.items = list.items.filter(item => edits.some(({ name }) => item.get('name') === name))
  for (const edit of edits) {
    const at = list.items.findIndex(item => item.get('name') === edit.name)
    if (edit.is === 'kept') continue
    if (edit.is === 'changed') {
      for (const [path, value] of edit.options) list.items[at]?.setIn(path, nodeOf(document, value))
    } else if (at >= 0) list.items[at] = nodeOf(document, edit.value) as YAMLMap
    else list.add(nodeOf(document, edit.value) as YAMLMap)
  }
  // `transports: []` on one line would otherwise grow on that line.
  if (list.items.some(item => item.flow !== true)) list.flow = false
  return true
}

/** Addresses in quotes, as older readers of YAML take `52:54:00:12:34:56` and `10:22` for numbers. */
function nodeOf(document: Document.Parsed, value: unknown): Node {
  const node = document.createNode(value) as Node
  visit(node, {
    Scalar(key, scalar) {
      if (key !== 'key' && typeof scalar.value === 'string' && /[:.]/.test(scalar.value)) scalar.type = 'QUOTE_DOUBLE'
    },
  })
  return node
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
