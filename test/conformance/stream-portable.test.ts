/** The code that macOS runs, poll(2) and calls that every kernel has, on this kernel. */
process.env.TAPSWITCH_OS = 'portable'

import { streamHarness } from './stream-rig.js'
import { transportConformance } from './transport-suite.js'

transportConformance('stream, unix, many, portable calls', streamHarness('many', 'unix'))
transportConformance('stream, TCP, one, portable calls', streamHarness('one', 'tcp4'))
transportConformance('stream, unix, connect, portable calls', streamHarness('connect', 'unix'))
