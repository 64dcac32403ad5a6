/** README.md and the pages of docs/, and what tests take out of them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from './project-root.js'

export interface Page {
  /** From the root of the project. */
  path: string
  text: string
}

export interface Block {
  /** `yaml`, `json` ...; empty for indented code, which has no name. */
  language: string
  text: string
}

export const page = (path: string): Page => ({ path, text: readFileSync(join(projectRoot, path), 'utf8') })

export const pages: Page[] = [
  ...['README.md', 'CONTRIBUTING.md'],
  ...readdirSync(join(projectRoot, 'docs'))
    .filter(file => file.endsWith('.md'))
    .map(file => `docs/${file}`),
].map(page)

/** Code that is fenced, and code that is indented by four after an empty line, as in this project's pages. */
export function codeBlocks(text: string): Block[] {
  const fenced = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', body = '']) => ({
    language,
    text: body,
  }))
  const rest = text.replaceAll(/^```(\w*)\n([\s\S]*?)^```$/gm, '')
  const indented = [...rest.matchAll(/(?:^|\n)\n((?: {4}.*\n|\n(?= {4}))+)/g)].map(([, body = '']) => ({
    language: '',
    text: body.replaceAll(/^ {4}/gm, ''),
  }))
  return [...fenced, ...indented]
}

/** Text between backticks, code blocks left out. */
export function codeSpans(text: string): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/^ {4}.*$/gm, '')
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)
}

/** The first cell and the arguments of each row of a table that has QEMU's. */
export function qemuLines(text: string): { to: string; arguments: string }[] {
  return [...text.matchAll(/^\| (.+?) \| `(-netdev [^`]+)` \|/gm)].map(([, to = '', args = '']) => ({
    to,
    arguments: args,
  }))
}
