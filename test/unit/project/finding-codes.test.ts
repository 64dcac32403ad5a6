/** The table of findings, its documentation and the code that raises them say the same. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { findingCodeNames, findingTable } from '#src/finding-codes.js'
import { projectRoot } from '../../support/project-root.js'

describe('the codes of findings', () => {
  it('are kebab-case words, sorted', () => {
    for (const code of findingCodeNames) assert.match(code, /^[a-z]+(-[a-z]+)*$/)
    assert.deepEqual(findingCodeNames, findingCodeNames.toSorted())
  })

  it('are in docs/operations.md (npm run generate)', () => {
    const page = readFileSync(join(projectRoot, 'docs/operations.md'), 'utf8')
    const [, table] = /<!-- findings -->\n([\s\S]*?)\n<!-- \/findings -->/.exec(page) ?? []
    assert.equal(table, findingTable())
  })

  it('are each raised somewhere', () => {
    const folder = join(projectRoot, 'src')
    const text = (readdirSync(folder, { recursive: true }) as string[])
      .filter(path => path.endsWith('.ts') && path !== 'finding-codes.ts' && !path.startsWith('http'))
      .map(path => readFileSync(join(folder, path), 'utf8'))
      .join('\n')
    assert.deepEqual(
      findingCodeNames.filter(code => !text.includes(`'${code}'`)),
      [],
    )
  })
})
