/** What the pages say that can be held against the project: links, commands with their options, configurations. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { parseConfig } from '#src/config/load.js'
import { codeBlocks, codeSpans, pages } from '../../support/documents.js'
import { projectRoot } from '../../support/project-root.js'

const run = promisify(execFile)

describe('every relative link', () => {
  const links = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map(([, link = '']) => ({ path, link })),
  )

  it('leads to a file, and to a heading in it', () => {
    const broken = links.filter(({ path, link }) => {
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? path : normalize(join(dirname(path), file))
      if (!existsSync(join(projectRoot, target))) return true
      return anchor !== undefined && !anchorsOf(target).includes(anchor)
    })
    assert.deepEqual(broken, [])
  })

  it('is looked at by this test', () => assert.ok(links.length > 40, `${links.length} links`))
})

/** As GitHub makes them of headings. */
function anchorsOf(path: string): string[] {
  const headings = readFileSync(join(projectRoot, path), 'utf8').matchAll(/^#+ (.+)$/gm)
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

interface CommandLine {
  path: string
  command: string
  options: string[]
}

describe('every command line', () => {
  const lines = pages.flatMap(({ path, text }) => commandLines(text).map(line => ({ path, ...line })))
  const optionsOf = new Map<string, string[]>()

  before(async () => {
    const program = join(projectRoot, 'dist/cli/main.js')
    const help = async (...args: string[]) => (await run(process.execPath, [program, ...args, '--help'])).stdout
    const commands = [...(await help()).matchAll(/^ {2}([a-z]+)(?: |$)/gm)].map(([, command = '']) => command)
    for (const command of new Set(lines.map(line => line.command))) {
      if (!commands.includes(command)) continue
      const text = command === 'completion' ? '' : await help(command)
      optionsOf.set(command, text.match(/(?<=\s)--?[a-z][\w-]*/g) ?? [])
    }
  })

  it('names a command that exists', () => {
    assert.deepEqual(
      lines.filter(({ command }) => !optionsOf.has(command)),
      [],
    )
  })

  it('uses options that the command has', () => {
    const wrong = lines.flatMap(({ path, command, options }) =>
      options
        .filter(option => !optionsOf.get(command)?.includes(option))
        .map(option => `${path}: ${command} ${option}`),
    )
    assert.deepEqual(wrong, [])
  })

  it('is looked at by this test', () => {
    assert.ok(lines.length > 25, `${lines.length} lines`)
    assert.ok(lines.some(({ command, options }) => command === 'capture' && options.includes('-f')))
  })
})

/** In code blocks at the start of a command, in prose between backticks. A word in capitals stands for something. */
function commandLines(text: string): Omit<CommandLine, 'path'>[] {
  const code = [...codeBlocks(text).flatMap(block => block.text.split('\n')), ...codeSpans(text)]
  return code.flatMap(line =>
    [...line.matchAll(/(?:^|&& |\| |\$ |sudo )tapswitch ([a-z]+)(?![\w/.-])([^|&#>;]*)/g)].map(
      ([, command = '', rest = '']) => {
        // Two spaces begin what a list of commands says about each.
        const [args = ''] = rest.split(/ {2,}/)
        return {
          command,
          options: (args.replaceAll(/'[^']*'|"[^"]*"/g, '').match(/(?<=\s)--?[a-z][\w-]*/g) ?? []) as string[],
        }
      },
    ),
  )
}

/** First keys of what is a configuration, or the part of one that is shown. */
const topLevel = /^(?:#.*\n)*(?:runtimeDir|switch|interfaces|transports|http|log|process):/

describe('every configuration', () => {
  const shown = pages.flatMap(({ path, text }) =>
    codeBlocks(text)
      .filter(({ language, text }) => language === 'yaml' || (language === '' && topLevel.test(text)))
      .map(block => ({ path, text: block.text })),
  )

  for (const [i, { path, text }] of shown.entries()) {
    it(`is valid: number ${i + 1}, in ${path}`, () => {
      parseConfig(text, path)
    })
  }

  it('is looked at by this test', () => assert.ok(shown.length > 8, `${shown.length} configurations`))
})
