import t from 'tap'
import { testKills } from './crash.ts'
import { INTRUSIONS } from './crash-interruptions.ts'

testKills(t, INTRUSIONS)
