import { MemoryRig } from './memory-rig.js'
import { transportConformance } from './transport-suite.js'

transportConformance('memory', {
  runts: [0, 1, 3, 13],
  trueLengths: false,
  start: async options => new MemoryRig(options),
})
