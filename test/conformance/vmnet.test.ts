import { requirements } from '../support/requires.js'
import { standinNeeds } from '../support/vmnet-standin.js'
import { transportConformance } from './transport-suite.js'
import { vmnetHarness } from './vmnet-rig.js'

// Frames that the switch refuses must be able to get to it; such an interface has larger frames than the pool has
// slots.
transportConformance(
  'vmnet, larger frames than the switch takes',
  vmnetHarness(maxFrameSize => 2 * maxFrameSize, [1519, 1520, 3000]),
  requirements(standinNeeds),
)
