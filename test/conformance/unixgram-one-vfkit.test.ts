import { transportConformance } from './transport-suite.js'
import { unixgramHarness } from './unixgram-rig.js'

transportConformance('unixgram, one, peers as vfkit', unixgramHarness('one', 'vfkit'))
