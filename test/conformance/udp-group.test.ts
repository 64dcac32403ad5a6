import { transportConformance } from './transport-suite.js'
import { tunnelHarness } from './tunnel-rig.js'

transportConformance('udp, a multicast group each', tunnelHarness('group'))
