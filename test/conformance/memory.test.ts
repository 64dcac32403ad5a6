import { MemoryRig } from './memory-rig.js'
import { transportConformance } from './transport-suite.js'

transportConformance('memory', { runts: [0, 1, 3, 13], start: async options => new MemoryRig(options) })
