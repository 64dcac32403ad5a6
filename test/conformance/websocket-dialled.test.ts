import { transportConformance } from './transport-suite.js'
import { webSocketHarness } from './websocket-rig.js'

transportConformance('WebSocket, dialled', webSocketHarness('connect'))
