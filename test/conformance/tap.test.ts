import { describe } from 'node:test'
import { netnsNeeds } from '../support/netns.js'
import { requirements } from '../support/requires.js'
import { tapHarness } from './tap-rig.js'
import { transportConformance } from './transport-suite.js'

describe('tap', requirements(netnsNeeds), () => transportConformance('tap', tapHarness))
