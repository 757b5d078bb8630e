import t from 'tap'
import { testKills } from './crash.ts'
import { ROLLING } from './crash-replicas.ts'

testKills(t, ROLLING)
