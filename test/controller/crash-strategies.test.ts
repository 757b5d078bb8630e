import t from 'tap'
import { testKills } from './crash.ts'
import { STRATEGIES } from './crash-strategies.ts'

testKills(t, STRATEGIES)
