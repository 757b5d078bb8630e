import t from 'tap'
import { testKills } from './crash.ts'
import { ENDINGS } from './crash-scripts.ts'

testKills(t, ENDINGS)
