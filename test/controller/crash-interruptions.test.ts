import t from 'tap'
import { testKills } from './crash.ts'
import { INTERRUPTIONS } from './crash-scripts.ts'

testKills(t, INTERRUPTIONS)
