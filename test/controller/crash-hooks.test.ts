import t from 'tap'
import { testKills } from './crash.ts'
import { HOOKED } from './crash-hooks.ts'

testKills(t, HOOKED)
