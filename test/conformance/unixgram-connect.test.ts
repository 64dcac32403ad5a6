import { transportConformance } from './transport-suite.js'
import { unixgramHarness } from './unixgram-rig.js'

transportConformance('unixgram, connect', unixgramHarness('connect', 'qemu'))
