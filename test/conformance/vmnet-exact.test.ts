import { requirements } from '../support/requires.js'
import { standinNeeds } from '../support/vmnet-standin.js'
import { transportConformance } from './transport-suite.js'
import { vmnetHarness } from './vmnet-rig.js'

const HEADER = 14

transportConformance(
  'vmnet, as large frames as the switch takes',
  vmnetHarness(maxFrameSize => maxFrameSize - HEADER, []),
  requirements(standinNeeds),
)
