/**
 * The text of a configuration with places cut out and put in, found by the ranges of the parser's nodes.
 *
 * A range is three offsets: where the node begins, where its value ends, and where what belongs to it ends. A block
 * collection ends with the line break after its last line; `endOf` finds the last character of content instead, so that
 * comments behind it stay. All offsets are those of the text as it was; the changes are made together, in the end.
 */
import {
  Document,
  isCollection,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'

/** The text is written in a way in which the change cannot be made. */
export class Uneditable extends Error {}

type AnyPair = Pair<Node, Node | null>

interface Splice {
  readonly from: number
  readonly to: number
  readonly text: string
}

export class ConfigText {
  readonly #source: string
  readonly #eol: string
  readonly #isJson: boolean
  readonly #splices: Splice[] = []

  constructor(source: string) {
    this.#source = source
    this.#eol = /\r\n|\n/.exec(source)?.[0] ?? '\n'
    this.#isJson = isJson(source)
  }

  /** The text with every change made. Throws Uneditable when two of them are in one place. */
  result(): string {
    // What is put in where something else is cut out comes before that.
    const splices = [...this.#splices].sort((a, b) => a.from - b.from || Number(a.to > a.from) - Number(b.to > b.from))
    let text = ''
    let at = 0
    for (const { from, to, text: piece } of splices) {
      if (from < at) throw new Uneditable()
      text += this.#source.slice(at, from) + piece
      at = to
    }
    return text + this.#source.slice(at)
  }

  /** For a text without content. */
  withAppended(contents: Record<string, unknown>): string {
    if (Object.keys(contents).length === 0) return this.#source
    const before = this.#source === '' || this.#source.endsWith('\n') ? '' : this.#eol
    return `${this.#source}${before}${this.#block(contents, 0)}${this.#eol}`
  }

  /** Gives the pair another value. */
  setValue({ key, value: before }: AnyPair, value: unknown): void {
    const [from] = rangeOf(before)
    const end = endOf(before)
    const isInFlow = this.#isJson || this.#isFlowAround(key)
    const isTall = !isInFlow && isListOfMappings(value)
    if (!isTall && isCollection(before) && before.flow !== true && isNonEmptyCollection(value)) {
      this.#replace(from, end, this.#block(value, this.#column(from)))
    } else if (isTall) {
      const column = this.#column(rangeOf(key)[0]) + 2
      this.#replace(this.#afterColon(key), end, `${this.#eol}${' '.repeat(column)}${this.#block(value, column)}`)
    } else if (from === end || (isCollection(before) && before.flow !== true)) {
      this.#replace(this.#afterColon(key), end, ` ${this.#flow(value)}`)
    } else this.#replace(from, end, this.#flow(value))
  }

  /** Adds pairs behind the last one. */
  addPairs(map: YAMLMap, pairs: ReadonlyMap<string, unknown>): void {
    const last = map.items.at(-1) as AnyPair | undefined
    if (map.flow === true || last === undefined) {
      const texts = [...pairs].map(
        ([key, value]) => `${this.#isJson ? JSON.stringify(key) : key}: ${this.#flow(value)}`,
      )
      this.#addInFlow(map, last === undefined ? undefined : { first: map.items[0] as AnyPair, last }, texts)
      return
    }
    const column = this.#column(rangeOf((map.items[0] as AnyPair).key)[0])
    this.#addLines(
      endOf(last),
      column,
      [...pairs].map(([key, value]) => this.#block({ [key]: value }, column)),
    )
  }

  removePair(map: YAMLMap, pair: AnyPair): void {
    const at = map.items.indexOf(pair)
    if (map.flow === true) this.#removeInFlow(map.items as AnyPair[], at, () => true)
    else if (map.items.length === 1) this.#replace(rangeOf(map)[0], endOf(map), '{}')
    else this.#removeLines(rangeOf(pair.key)[0], endOf(pair))
  }

  /** `stays` says of the items before it which are not removed themselves. */
  removeItem(list: YAMLSeq<Node>, at: number, stays: (item: Node) => boolean): void {
    const item = list.items[at] as Node
    if (list.flow === true) this.#removeInFlow(list.items, at, stays)
    else this.#removeLines(this.#dashOf(item), endOf(item), at > 0)
  }

  replaceItem(list: YAMLSeq<Node>, at: number, value: unknown): void {
    const item = list.items[at] as YAMLMap
    const [from] = rangeOf(item)
    const isFlow = list.flow === true || item.flow === true
    this.#replace(from, endOf(item), isFlow ? this.#flow(value) : this.#block(value, this.#column(from)))
  }

  /** Adds items behind the last one that stays; there must be one. */
  appendItems(list: YAMLSeq<Node>, values: readonly unknown[], stays: (item: Node) => boolean): void {
    const first = list.items[0] as Node
    const last = list.items.findLast(stays) as Node
    if (list.flow === true) {
      this.#addInFlow(
        list,
        { first, last },
        values.map(value => this.#flow(value)),
      )
      return
    }
    const column = this.#column(this.#dashOf(first))
    const areFlow = list.items.every(item => isCollection(item) && item.flow === true)
    const texts = values.map(value => `- ${areFlow ? this.#flow(value) : this.#block(value, column + 2)}`)
    this.#addLines(endOf(last), column, texts)
  }

  #replace(from: number, to: number, text: string): void {
    this.#splices.push({ from, to, text })
  }

  /** New lines after the one in which `end` is. */
  #addLines(end: number, column: number, texts: readonly string[]): void {
    const indent = ' '.repeat(column)
    if (end > 0 && this.#source[end - 1] === '\n') {
      this.#replace(end, end, texts.map(text => `${indent}${text}${this.#eol}`).join(''))
      return
    }
    const at = this.#lineEnd(end)
    this.#replace(at, at, texts.map(text => `${this.#eol}${indent}${text}`).join(''))
  }

  /** Takes out whole lines, and comments right above them where `withComments`. */
  #removeLines(from: number, end: number, withComments = false): void {
    let start = this.#lineStart(from)
    if (this.#source.slice(start, from).trim() !== '') throw new Uneditable()
    while (withComments && start > 0) {
      const above = this.#lineStart(start - 1)
      if (!this.#source.slice(above, start).trimStart().startsWith('#')) break
      start = above
    }
    const line = this.#source[end - 1] === '\n' ? end : this.#lineEnd(end)
    const next = this.#source.indexOf('\n', line)
    const isBreakIncluded = this.#source[end - 1] === '\n'
    this.#replace(start, isBreakIncluded ? end : next < 0 ? this.#source.length : next + 1, '')
  }

  #addInFlow(
    node: Node,
    items: { first: Node | AnyPair; last: Node | AnyPair } | undefined,
    texts: readonly string[],
  ): void {
    if (items === undefined) {
      const inside = rangeOf(node)[0] + 1
      this.#replace(inside, rangeOf(node)[1] - 1, ` ${texts.join(', ')} `)
      return
    }
    const [first] = rangeOf(isPair(items.first) ? (items.first.key as Node) : items.first)
    const isTall = this.#source.slice(this.#lineStart(first), first).trim() === ''
    const between = isTall ? `,${this.#eol}${' '.repeat(this.#column(first))}` : ', '
    const end = endOf(items.last)
    this.#replace(end, end, texts.map(text => `${between}${text}`).join(''))
  }

  #removeInFlow<Item extends Node | AnyPair>(items: readonly Item[], at: number, stays: (item: Item) => boolean): void {
    const startOf = (item: Item) => rangeOf(isPair(item) ? (item.key as Node) : (item as Node))[0]
    const before = items.slice(0, at).findLast(stays)
    const item = items[at] as Item
    const next = items[at + 1]
    if (before !== undefined) this.#replace(endOf(items[at - 1] as Item), endOf(item), '')
    else this.#replace(startOf(item), next === undefined ? endOf(item) : startOf(next), '')
  }

  /** Where the "-" of an item of a block list is. */
  #dashOf(item: Node): number {
    let at = rangeOf(item)[0] - 1
    while (at >= 0 && /\s/.test(this.#source[at] as string)) at--
    if (this.#source[at] !== '-') throw new Uneditable()
    return at
  }

  #afterColon(key: Node): number {
    const at = this.#source.indexOf(':', rangeOf(key)[1])
    if (at < 0) throw new Uneditable()
    return at + 1
  }

  #isFlowAround(key: Node): boolean {
    const [at] = rangeOf(key)
    return /[{[,]\s*$/.test(this.#source.slice(0, at))
  }

  #column(at: number): number {
    return at - this.#lineStart(at)
  }

  #lineStart(at: number): number {
    return this.#source.lastIndexOf('\n', at - 1) + 1
  }

  /** Before the line break. */
  #lineEnd(at: number): number {
    const next = this.#source.indexOf('\n', at)
    if (next < 0) return this.#source.length
    return this.#source[next - 1] === '\r' ? next - 1 : next
  }

  #flow(value: unknown): string {
    const text = this.#isJson ? JSON.stringify(value, null, 1) : documentOf(value, true)
    return text.trimEnd().replace(/\s*\n\s*/g, ' ')
  }

  #block(value: unknown, column: number): string {
    return documentOf(value, false)
      .trimEnd()
      .split('\n')
      .join(`${this.#eol}${' '.repeat(column)}`)
  }
}

/** Addresses in quotes, as older readers of YAML take `52:54:00:12:34:56` and `10:22` for numbers. */
function documentOf(value: unknown, isFlow: boolean): string {
  const document = new Document(value)
  visit(document, {
    Scalar(key, scalar) {
      if (key !== 'key' && typeof scalar.value === 'string' && /[:.]/.test(scalar.value)) scalar.type = 'QUOTE_DOUBLE'
    },
    Collection(_key, node) {
      if (isFlow || (isSeq(node) && node.items.every(isScalar))) node.flow = true
    },
  })
  return document.toString({ lineWidth: 0 })
}

function rangeOf(node: Node | null | undefined): readonly [number, number, number] {
  if (!node?.range) throw new Uneditable()
  return node.range
}

/** Behind the last character of content; behind the line break of a block scalar. */
function endOf(node: Node | AnyPair | null): number {
  if (isPair(node)) return node.value === null ? rangeOf(node.key as Node)[1] : endOf(node.value as Node)
  if (isCollection(node) && node.flow !== true && node.items.length > 0)
    return endOf(node.items.at(-1) as Node | AnyPair)
  return rangeOf(node)[1]
}

function isListOfMappings(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(item => typeof item === 'object' && item !== null)
}

function isNonEmptyCollection(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
