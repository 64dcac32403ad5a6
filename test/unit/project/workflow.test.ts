/** Hosted CI runs what a developer runs, and nothing else. */
import assert from 'node:assert/strict'
import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { projectRoot } from '../../support/project-root.js'

interface Workflow {
  jobs: Record<string, { container?: { image: string }; steps: { uses?: string; run?: string }[] }>
}

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8')

describe('the hosted workflow', () => {
  const { jobs } = parse(read('.github/workflows/ci.yml')) as Workflow
  const commands = (job: string) => jobs[job]?.steps.flatMap(({ run }) => (run === undefined ? [] : [run]))

  it('calls .ci/run on Linux, which can be executed', () => {
    assert.deepEqual(commands('linux'), ['.ci/run'])
    accessSync(join(projectRoot, '.ci/run'), constants.X_OK)
  })

  it('calls npm run test:macos on macOS, which exists', () => {
    assert.deepEqual(commands('macos'), ['sudo env "PATH=$PATH" npm run test:macos'])
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    assert.ok(scripts['test:macos'])
  })

  it('uses the image that the development container uses', () => {
    assert.equal(`FROM ${jobs.linux?.container?.image}`, /^FROM .*$/m.exec(read('Dockerfile.dev'))?.[0])
  })
})
