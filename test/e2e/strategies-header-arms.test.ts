import t from 'tap'
import { parseExposition } from '../../lib/exposition.ts'
import { createUsers } from './experiment-users.ts'
import { rolloutOf, startRollouts } from './rollouts.ts'

// Arms by language on real processes: whoever asks in German gets the candidate, whoever else keeps stable.

const stack = await startRollouts(t)
const users = await createUsers(stack.publicUrl)
const LIMIT = 4000
const LANGUAGES = ['de-AT,en;q=0.5', 'en-GB', 'de', 'fr']

t.test(
  'users are dealt to the arms by their language, are counted, and the better arm is promoted',
  async t => {
    const by = { header: 'accept-language', values: { candidate: ['de'] } }
    const ab = { by, goal: { label: 'correct' } }
    const { name } = await stack.controller.startRollout(rolloutOf('2', { strategy: { ab } }))
    let [german, astray] = [0, 0]
    let explained: readonly string[] = []
    for (let n = 0; n < LIMIT; n++) {
      const rollout = await stack.controller.rollout(name)
      if (rollout.phase !== 'Pending' && rollout.phase !== 'Progressing') break
      const language = LANGUAGES[n % LANGUAGES.length] ?? ''
      const { variant, id, label } = await users.predict(
        { 'accept-language': language, 'x-user-id': `user-${n}` },
        n,
      )
      const after = await stack.controller.rollout(name)
      if (rollout.step.name !== 'experiment' || after.step.name !== 'experiment') continue
      if (explained.length === 0) explained = (await stack.controller.explain(name)).sentences
      const isGerman = language.startsWith('de')
      german += isGerman ? 1 : 0
      if (variant !== (isGerman ? 'candidate' : 'stable')) astray++
      const likes = variant === 'candidate' ? n % 10 !== 0 : n % 10 < 3
      await users.tell({ prediction_id: id, label: likes ? label : 'Something else' })
    }
    const result = await stack.ended(name)
    t.match(result, { phase: 'Promoted' }, result.message)
    t.equal(astray, 0, `of ${german} who asked in German and as many who did not`)
    t.match(explained.join('\n'), /candidate \(version 2, de\).*\n.*said by accept-language and not drawn/)
    t.equal(await stack.versionOf('stable'), '2')
    t.equal((await stack.policy()).splitBy, undefined)
    const text = await (await fetch(`${stack.operatorUrl}/metrics?route=food11`)).text()
    const counted = (kind: string) =>
      parseExposition(text)
        .filter(
          ({ name, labels }) =>
            name === 'weir_requests_total' && labels['variant'] === 'candidate' && labels['kind'] === kind,
        )
        .reduce((sum, { value }) => sum + value, 0)
    t.ok(counted('split') >= german, `${counted('split')} counted as split`)
    t.equal(counted('override'), 0)
  },
)
