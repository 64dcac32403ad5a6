/**
 * A client with the control role sends filters that are meant to stop the switch, to make it ask a name server, or to
 * end it.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { controlHeaders } from '../../support/control-tokens.js'
import { eventually } from '../../support/eventually.js'
import { Lab } from '../../support/lab.js'
import type { SwitchProcess } from '../../support/switch-process.js'

function filling(unit: (i: number) => string, joint: string, first: string): string {
  let text = first + unit(0)
  for (let i = 1; text.length + joint.length + unit(i).length <= 1024; i++) text += joint + unit(i)
  return text
}

describe('hostile capture filters', { timeout: 120_000 }, () => {
  let lab: Lab
  let running: SwitchProcess

  before(async () => {
    lab = await Lab.open()
    running = await lab.startSwitch({ transports: [{ name: 'vms', type: 'unixgram', listen: 'vms.sock' }] })
  })

  after(() => lab.close())

  async function ask(filter: string): Promise<{ status: number; code: string }> {
    const asked = request(`${running.api.url}/v1/capture?${new URLSearchParams({ filter })}`, {
      headers: controlHeaders(running.api.url),
    }).end()
    const [response] = await once(asked, 'response')
    if (response.statusCode === 200) {
      response.destroy()
      return { status: 200, code: '' }
    }
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(chunk)
    return { status: response.statusCode, code: JSON.parse(Buffer.concat(chunks).toString()).code }
  }

  it('are refused with 400 when they are too large, too deep, a loop or nonsense', async () => {
    for (const filter of [
      filling(i => `${i}-${i}`, '||', 'portrange '),
      filling(i => `${i % 10}`, '||', 'port '),
      `${'('.repeat(500)}arp${')'.repeat(500)}`,
      '!'.repeat(1000),
      'ip6 protochain 6',
      'host vm.example',
      'len-4.example > 5',
      'arp\0and tcp',
      '((((',
    ]) {
      assert.deepEqual(await ask(filter), { status: 400, code: 'bad-filter' }, filter.slice(0, 60))
    }
  })

  it('keep no other client waiting, however long libpcap takes', async () => {
    const slow = Array.from({ length: 110 }, (_, i) => `${i + 100}-${i + 300}`).join('||')
    const from = performance.now()
    let took = 0
    const finished = ask(`portrange ${slow}`).finally(() => {
      took = performance.now() - from
    })
    let longest = 0
    while (took === 0) {
      const began = performance.now()
      await running.api.captures()
      longest = Math.max(longest, performance.now() - began)
      await delay(10)
    }
    assert.deepEqual(await finished, { status: 400, code: 'bad-filter' })
    assert.ok(longest < took / 2, `a request took ${longest} ms, the filters ${took} ms`)
  })

  it('of clients that hang up at once leave no capture behind', async () => {
    for (let i = 0; i < 4; i++) {
      const asked = request(`${running.api.url}/v1/capture?filter=arp`, {
        headers: controlHeaders(running.api.url),
      }).end()
      asked.on('error', () => {})
      await delay(20)
      asked.destroy()
    }
    // The compiler works on one after the other: when the last one is done, so are they.
    assert.equal((await ask('arp')).status, 200)
    await eventually(
      () => running.api.captures(),
      captures => captures.length === 0,
      'no capture',
      10_000,
    )
  })

  it('are refused beyond 16 that wait for their compiler', async () => {
    const answers = await Promise.all(Array.from({ length: 24 }, () => ask('host 10.0.0.1 and')))
    const count = (wanted: number) => answers.filter(({ status }) => status === wanted).length
    assert.equal(count(400) + count(429), answers.length, JSON.stringify(answers))
    assert.ok(count(429) > 0, 'every one of 24 has a place')
  })
})
