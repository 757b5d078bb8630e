import t from 'tap'
import { testKills } from './crash.ts'
import { REPLICAS } from './crash-replicas.ts'

testKills(t, REPLICAS)
