import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Intake } from '#src/transports/websocket/intake.js'

function makeSource() {
  const calls: string[] = []
  return { calls, pause: () => void calls.push('pause'), resume: () => void calls.push('resume') }
}
const nextTurn = () => new Promise<void>(resolve => setImmediate(resolve))

describe('Intake', () => {
  it('leaves a source alone until the next turn once it gave a piece, and only then', async () => {
    const source = makeSource()
    const intake = new Intake(source)
    for (let i = 0; i < 100; i++) intake.took(60)
    assert.deepEqual(source.calls, [])
    for (let i = 0; i < 1000; i++) intake.took(60)
    assert.deepEqual(source.calls, ['pause'])
    await nextTurn()
    assert.deepEqual(source.calls, ['pause', 'resume'])
    intake.took(60)
    assert.deepEqual(source.calls, ['pause', 'resume'])
  })

  it('counts long frames for more', () => {
    const source = makeSource()
    const intake = new Intake(source)
    for (let i = 0; i < 100; i++) intake.took(9014)
    assert.deepEqual(source.calls, ['pause'])
  })

  it('does not resume what is held, until it is released', async () => {
    const source = makeSource()
    const intake = new Intake(source)
    for (let i = 0; i < 1000; i++) intake.took(60)
    intake.hold()
    await nextTurn()
    assert.equal(source.calls.includes('resume'), false)
    intake.release()
    intake.release()
    assert.equal(source.calls.filter(call => call === 'resume').length, 1)
  })
})
