import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { describe, it } from 'node:test'
import { projectRoot } from '../../support/project-root.js'

/**
 * What each folder of src/ may import from the others, beside itself. Files directly under src/ count by their name.
 */
const mayImport: Record<string, string[]> = {
  wire: [],
  page: [],
  version: [],
  errors: [],
  'finding-codes': [],
  log: ['errors'],
  secret: ['config', 'errors'],
  'upgrade-routes': [],
  'failure-limit': [],
  'tls-files': ['errors'],
  os: ['errors', 'wire'],
  switch: ['wire'],
  dataplane: ['finding-codes', 'switch', 'wire', 'os', 'log', 'errors'],
  transports: [
    ...['finding-codes', 'upgrade-routes', 'secret', 'failure-limit', 'tls-files'],
    ...['dataplane', 'os', 'wire', 'switch', 'config', 'log', 'errors'],
  ],
  config: ['errors', 'log', 'wire'],
  vmnet: ['finding-codes', 'transports', 'dataplane', 'os', 'wire', 'config', 'log', 'errors'],
  tap: ['finding-codes', 'transports', 'dataplane', 'os', 'wire', 'config', 'log', 'errors'],
  slirp: ['finding-codes', 'transports', 'dataplane', 'os', 'wire', 'config', 'log', 'errors'],
  control: [
    ...['finding-codes', 'upgrade-routes', 'version', 'config', 'transports', 'vmnet', 'tap', 'slirp'],
    ...['dataplane', 'switch', 'wire', 'os', 'log', 'errors'],
  ],
  http: [
    ...['finding-codes', 'upgrade-routes', 'secret', 'failure-limit', 'tls-files', 'version', 'control', 'config'],
    ...['transports', 'dataplane', 'switch', 'wire', 'log', 'errors'],
  ],
  cli: [
    ...[
      'finding-codes',
      'upgrade-routes',
      'version',
      'http',
      'control',
      'config',
      'transports',
      'vmnet',
      'tap',
      'slirp',
    ],
    ...['dataplane', 'switch', 'wire', 'os', 'log', 'errors', 'secret', 'tls-files'],
  ],
}

/**
 * Files that put the pieces together, and so may import more than their folder: the worker hands the engine its
 * endpoints.
 */
const composing: Record<string, string[]> = { 'dataplane/endpoint-kinds.ts': ['transports', 'vmnet', 'tap'] }

/** The folders that call the operating system through koffi. */
const foreignFunctions = ['os', 'vmnet', 'tap', 'slirp']

/** The folders that know no Node module and no clock: frames and `now` come in, decisions go out. */
const pure = ['switch', 'wire']

const folderOf = (path: string) => (path.split(sep)[0] as string).replace(/\.ts$/, '')
const importsOf = (text: string) =>
  [...text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*'([^']+)'/g)].map(match => match[1] as string)
const isLocal = (specifier: string) => specifier.startsWith('.')

const sourceFolder = join(projectRoot, 'src')
const sources = (readdirSync(sourceFolder, { recursive: true }) as string[])
  .filter(path => path.endsWith('.ts'))
  .map(path => ({ path, folder: folderOf(path), text: readFileSync(join(sourceFolder, path), 'utf8') }))

describe('the sources', () => {
  it('import only in the directions the architecture allows', () => {
    const wrong = sources.flatMap(({ path, folder, text }) =>
      importsOf(text)
        .filter(isLocal)
        .map(specifier => folderOf(normalize(join(dirname(path), specifier)).replace(/\.js$/, '')))
        .filter(
          target => target !== folder && ![...(mayImport[folder] ?? []), ...(composing[path] ?? [])].includes(target),
        )
        .map(target => `${path} imports ${target}`),
    )
    assert.deepEqual(wrong, [])
  })

  it('name every folder in the table above', () => {
    const unknown = sources.map(({ folder }) => folder).filter(folder => !mayImport[folder])
    assert.deepEqual([...new Set(unknown)], [])
  })

  it('reach koffi only where the operating system is called', () => {
    const users = sources.filter(({ text }) => importsOf(text).includes('koffi'))
    assert.ok(users.length > 0, 'no file imports koffi: this test looks for the wrong thing')
    assert.deepEqual(
      users.filter(({ folder }) => !foreignFunctions.includes(folder)).map(({ path }) => path),
      [],
    )
  })

  it('keep packages, Node modules and clocks out of the switch core', () => {
    const core = sources.filter(({ folder }) => pure.includes(folder))
    const importing = core.filter(({ text }) => importsOf(text).some(specifier => !isLocal(specifier)))
    const timing = core.filter(({ text }) =>
      /\bDate\b|\bperformance\b|\bprocess\b|\bsetTimeout\b/.test(withoutComments(text)),
    )
    assert.deepEqual(
      [...importing, ...timing].map(({ path }) => path),
      [],
    )
  })

  it('stay under 500 lines a file', () => {
    const long = sources.map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    assert.deepEqual(
      long.filter(({ lines }) => lines > 500),
      [],
    )
  })
})

describe('the published files', () => {
  it("hold no path of a developer's machine ('me' is the user of examples)", () => {
    const folders = ['src', 'test', 'bench', 'scripts', 'config', 'docs']
    const files = folders.flatMap(folder =>
      readdirSync(join(projectRoot, folder), { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => join(entry.parentPath, entry.name)),
    )
    const leaking = files.filter(file =>
      /['"`(\s](\/home\/(?!me\b)|\/Users\/(?!me\b)|\/root\/|\/work\/)\w/.test(readFileSync(file, 'utf8')),
    )
    assert.deepEqual(leaking, [])
  })
})

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')
}
