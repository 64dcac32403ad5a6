import { streamHarness } from './stream-rig.js'
import { transportConformance } from './transport-suite.js'

transportConformance('stream, unix, many', streamHarness('many', 'unix'))
transportConformance('stream, unix, one', streamHarness('one', 'unix'))
transportConformance('stream, unix, connect', streamHarness('connect', 'unix'))
transportConformance('stream, unix, hyperkit framing', streamHarness('one', 'unix', 'hyperkit'))
