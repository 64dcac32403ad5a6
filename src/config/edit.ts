/**
 * Changes in the text of a configuration, so that it says what runs: entries of the two lists added, removed or
 * changed, and options of the switch.
 *
 * The text is not written anew from what it means. The parser says where each node lies, and only the places that
 * change are cut out and replaced (config-text.ts), so every other byte stays: comments, blank lines, indentation, the
 * spaces within braces, line ends, a byte order mark. What is inserted takes the style of what is around it: block or
 * flow, its indentation, JSON's quotes.
 *
 * Text with aliases where something has to change cannot be edited this way: the alias' value stands elsewhere, and
 * others share it.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { Side } from './change.js'
import { ConfigText, Uneditable } from './config-text.js'

export interface TextEdit {
  /** In order. Entries of the file that are not named here are removed. */
  readonly entries: Readonly<Record<Side, readonly EntryEdit[]>>
  /** Options to set, e.g. `[['switch', 'name'], 'lab']`. */
  readonly options: readonly Option[]
}

/** An undefined value takes the option out. */
export type Option = readonly [path: readonly string[], value: unknown]

export type EntryEdit =
  | { readonly name: string; readonly is: 'kept' }
  /** `value` in the form of the file. */
  | { readonly name: string; readonly is: 'new' | 'replaced'; readonly value: unknown }
  /** Options within the entry. */
  | { readonly name: string; readonly is: 'changed'; readonly options: readonly Option[] }

const sides = ['interfaces', 'transports'] as const

/**
 * Undefined when the text is written in a way that cannot be edited, e.g. with aliases in the place of what changes.
 */
export function editConfigText(text: string, edit: TextEdit): string | undefined {
  const mark = text.startsWith('\ufeff') ? '\ufeff' : ''
  try {
    return mark + edited(text.slice(mark.length), edit)
  } catch (error) {
    if (error instanceof Uneditable) return undefined
    throw error
  }
}

function edited(source: string, edit: TextEdit): string {
  const text = new ConfigText(source)
  const document = parseDocument(source, { merge: true })
  const root = document.contents
  if (root === null || (isScalar(root) && root.value === null)) return text.withAppended(newContents(edit))
  if (!isMap(root)) throw new Uneditable()
  const fresh = new Map<string, unknown>()
  for (const side of sides) editList(text, document, side, edit.entries[side], fresh)
  setOptions(text, root, treeOf(edit.options), fresh)
  return text.result()
}

/** What an empty file becomes. */
function newContents({ entries, options }: TextEdit): Record<string, unknown> {
  const contents: Record<string, unknown> = {}
  for (const [key, value] of treeOf(options)) contents[key] = plain(value)
  for (const side of sides) {
    const values = entries[side].flatMap(each => ('value' in each ? [each.value] : []))
    if (values.length > 0) contents[side] = values
  }
  return contents
}

/** Keys that the text does not have go into `fresh`, to be inserted with the options. */
function editList(
  text: ConfigText,
  document: Document.Parsed,
  side: Side,
  edits: readonly EntryEdit[],
  fresh: Map<string, unknown>,
): void {
  const pair = pairOf(document.contents as YAMLMap, side)
  const added = edits.flatMap(each => (each.is === 'new' ? [each.value] : []))
  const list = pair?.value
  if (pair === undefined || list === null || list === undefined || (isScalar(list) && list.value === null)) {
    if (added.length === 0) return
    if (pair === undefined) fresh.set(side, added)
    else text.setValue(pair, added)
    return
  }
  if (!isSeq(list) || !list.items.every(isMap)) throw new Uneditable()
  const entries = list.items as YAMLMap[]
  const editOf = (entry: YAMLMap) => edits.find(({ name }) => name === entry.get('name'))
  if (!entries.some(entry => editOf(entry) !== undefined)) {
    if (added.length > 0 || entries.length > 0) text.setValue(pair, added)
    return
  }
  entries.forEach((entry, i) => {
    const each = editOf(entry)
    if (each === undefined) text.removeItem(list as YAMLSeq<Node>, i, entry => editOf(entry as YAMLMap) !== undefined)
    else if (each.is === 'replaced') text.replaceItem(list as YAMLSeq<Node>, i, each.value)
    else if (each.is === 'changed') setOptions(text, entry, treeOf(each.options))
  })
  if (added.length > 0) text.appendItems(list as YAMLSeq<Node>, added, entry => editOf(entry as YAMLMap) !== undefined)
}

/** A value of an option; a tree of options has such leaves. */
class Leaf {
  readonly value: unknown
  constructor(value: unknown) {
    this.value = value
  }
}

type Tree = Map<string, Tree | Leaf>

function treeOf(options: readonly Option[]): Tree {
  const tree: Tree = new Map()
  for (const [path, value] of options) {
    let at = tree
    for (const key of path.slice(0, -1)) {
      const inner = at.get(key)
      const next = inner instanceof Map ? inner : new Map<string, Tree | Leaf>()
      at.set(key, next)
      at = next
    }
    at.set(path.at(-1) as string, new Leaf(value))
  }
  return tree
}

/** Undefined when all of it is to be taken out. */
function plain(tree: Tree | Leaf): unknown {
  if (tree instanceof Leaf) return tree.value
  const entries = [...tree].map(([key, value]) => [key, plain(value)]).filter(([, value]) => value !== undefined)
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

function setOptions(text: ConfigText, map: YAMLMap, tree: Tree, fresh = new Map<string, unknown>()): void {
  for (const [key, wanted] of tree) {
    const pair = pairOf(map, key)
    const value = plain(wanted)
    if (pair === undefined) {
      if (value !== undefined) fresh.set(key, value)
    } else if (isAlias(pair.value)) throw new Uneditable()
    else if (wanted instanceof Map && isMap(pair.value)) setOptions(text, pair.value as YAMLMap, wanted)
    else if (value === undefined) text.removePair(map, pair)
    else text.setValue(pair, value)
  }
  if (fresh.size > 0) text.addPairs(map, fresh)
}

function pairOf(map: YAMLMap, key: string): Pair<Node, Node | null> | undefined {
  return map.items.find(({ key: own }) => isScalar(own) && own.value === key) as Pair<Node, Node | null> | undefined
}
