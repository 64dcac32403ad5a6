/**
 * The suite that a Mac runs on vmnet, on the stand-in: with nothing behind it, and with a TAP that the kernel answers
 * on.
 */
import { after, afterEach, before, describe } from 'node:test'
import { Netns, netnsNeeds } from '../support/netns.js'
import { allOf, requirements } from '../support/requires.js'
import { type Standin, standinNeeds } from '../support/vmnet-standin.js'
import { useStandin } from '../unit/vmnet/use-standin.js'
import { vmnetSuite } from './vmnet-suite.js'

for (const variant of ['vmnet.so', 'vmnet-classic.so'] as const)
  describe(`vmnet on the stand-in ${variant}`, { ...requirements(standinNeeds), timeout: 110_000 }, () => {
    let standin: Standin
    before(() => {
      standin = useStandin('', variant)
    })
    afterEach(() => standin.nothingLeft())
    vmnetSuite({ cycles: 50, quiet: true, answers: false })
  })

describe('vmnet on the stand-in with a TAP', {
  ...requirements(allOf(standinNeeds, netnsNeeds)),
  timeout: 110_000,
}, () => {
  let netns: Netns
  let standin: Standin
  before(() => {
    netns = Netns.make()
    netns.ip('tuntap', 'add', 'vmnet0', 'mode', 'tap')
    netns.ip('address', 'add', '192.168.64.1/24', 'dev', 'vmnet0')
    netns.ip('link', 'set', 'vmnet0', 'up')
    standin = useStandin(`backend tap; tap vmnet0; netns ${netns.name}`)
  })
  after(() => netns.remove())
  afterEach(() => standin.nothingLeft())
  vmnetSuite({ cycles: 10, quiet: false, answers: true })
})
