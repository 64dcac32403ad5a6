import { transportConformance } from './transport-suite.js'
import { tunnelHarness } from './tunnel-rig.js'

transportConformance('udp, peers learned', tunnelHarness('learned'))
transportConformance('udp, peers configured', tunnelHarness('configured'))
