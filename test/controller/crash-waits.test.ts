import t from 'tap'
import { testKills } from './crash.ts'
import { WAITS } from './crash-interruptions.ts'

testKills(t, WAITS)
