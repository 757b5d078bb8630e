import t from 'tap'
import { testKills } from './crash.ts'
import { INTERRUPTIONS } from './crash-interruptions.ts'

testKills(t, INTERRUPTIONS)
