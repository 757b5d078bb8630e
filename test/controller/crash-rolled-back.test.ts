import t from 'tap'
import { testKills } from './crash.ts'
import { ROLLED_BACK } from './crash-replicas.ts'

testKills(t, ROLLED_BACK)
