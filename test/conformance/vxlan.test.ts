import { transportConformance } from './transport-suite.js'
import { tunnelHarness } from './tunnel-rig.js'

transportConformance('vxlan, configured remotes', tunnelHarness('vxlan'))
transportConformance('vxlan, learned remotes', tunnelHarness('vxlan-learned'))
