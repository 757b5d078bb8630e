import { rolloutSpec } from '../../contract/rollout.ts'
import { createJudge, judgeOptions } from '../../controller/judge/judge.ts'
import type { Contender } from './contender.ts'
import { createLooks } from './looks.ts'

/** The judge as it runs, with the defaults of a rollout file. */
export function createOurs(): Contender {
  const options = judgeOptions(rolloutSpec.parse({ route: 'r', modelVersion: '2' }))
  return {
    name: 'this judge',
    settings: `alpha ${options.alpha}, settle ${options.settleSeconds} s, ${options.maxPolls} looks at most`,
    source: 'controller/judge',
    start() {
      const judge = createJudge(options)
      const looks = createLooks()
      let begun = false
      return interval => {
        if (!begun) judge.step(looks.first(interval.weightPercent))
        begun = true
        return judge.step(looks.next(interval)).action === 'withdraw'
      }
    },
  }
}
