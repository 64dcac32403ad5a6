import { transportConformance } from './transport-suite.js'
import { unixgramHarness } from './unixgram-rig.js'

transportConformance('unixgram, many, peers as vfkit', unixgramHarness('many', 'vfkit'))
