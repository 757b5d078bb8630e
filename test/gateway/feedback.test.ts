import { test } from 'tap'
import { parseExposition } from '../../lib/exposition.ts'
import type { FeedbackReport } from '../../gateway/messages.ts'
import { createFeedbackLedger } from '../../gateway/primary/feedback.ts'
import { createTotals } from '../../gateway/primary/metrics.ts'
import { namedUpstream, PREDICTION, startWorker, twoVariants, upstream } from './harness.ts'

async function predictor(
  t: Parameters<typeof startWorker>[0],
  options: Parameters<typeof startWorker>[2] = {},
) {
  const { url } = await upstream(t, (_, response) => void response.end(JSON.stringify(PREDICTION)))
  const worker = await startWorker(t, [twoVariants(url, url, { contract: 'prediction' })], options)
  const report = (body: object) =>
    worker.send({
      method: 'POST',
      path: '/feedback',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    })
  const predict = async (): Promise<string> =>
    JSON.parse((await worker.send({ method: 'POST', path: '/predict', body: 'x' })).text).prediction_id
  return { worker, report, predict }
}

test('a true label says whether the prediction was correct, an outcome is taken as it is', async t => {
  const { report, predict } = await predictor(t)
  const answer = await report({ prediction_id: await predict(), label: 'Bread' })
  t.same(JSON.parse(answer.text), { route: 'food11', variant: 'candidate', correct: true })
  t.match(await report({ prediction_id: await predict(), label: 'Egg' }), {
    status: 200,
    text: /"correct":false/,
  })
  t.match(await report({ prediction_id: await predict(), outcome: { name: 'ordered', value: 12.5 } }), {
    status: 200,
  })
})

test('forged and malformed reports are refused with a code of their own, a misspelt setting by name', async t => {
  const { report, predict } = await predictor(t)
  const id = await predict()
  t.match(await report({ prediction_id: `${id.slice(0, -4)}AAAA`, label: 'Bread' }), {
    status: 400,
    text: /invalid_prediction_id/,
  })
  const cases: [object, RegExp][] = [
    [{}, /^prediction_id /],
    [{ prediction_id: id }, /needs either `label` or `outcome`/],
    [
      { prediction_id: id, label: 'Bread', outcome: { name: 'ordered' } },
      /needs either `label` or `outcome`/,
    ],
    [{ prediction_id: id, label: '' }, /^label /],
    [{ prediction_id: id, label: 'Bread', extra: 1 }, /"extra"/],
    [{ prediction_id: id, labl: 'Bread' }, /"labl"/],
    [{ prediction_id: id, outcome: { nam: 'ordered' } }, /"nam"/],
    [{ prediction_id: id, outcome: { name: 'No Name' } }, /outcome\.name must be/],
  ]
  for (const [body, message] of cases) {
    const answer = await report(body)
    t.match(answer, { status: 400, text: /"bad_request"/ }, JSON.stringify(body))
    t.match(JSON.parse(answer.text).error.message, message)
  }
})

test('an expired id is gone, a spent one a conflict', async t => {
  let now = 1_700_000_000_000
  const expiring = await predictor(t, { wallClock: () => now })
  const id = await expiring.predict()
  now += 86_400_000
  t.match(await expiring.report({ prediction_id: id, label: 'Bread' }), {
    status: 410,
    text: /prediction_id_expired/,
  })
  const spending = await predictor(t, { spend: () => 'spent' })
  t.match(await spending.report({ prediction_id: await spending.predict(), label: 'Bread' }), {
    status: 409,
    text: /prediction_id_spent/,
  })
})

test('where no route has the contract there are no ids, and the answer says so', async t => {
  const url = await namedUpstream(t, 'stable')
  const worker = await startWorker(t, [twoVariants(url, url)])
  const body = JSON.stringify({ prediction_id: 'x', label: 'Bread' })
  const answer = await worker.send({
    method: 'POST',
    path: '/feedback',
    body,
    headers: { 'content-type': 'application/json' },
  })
  t.match(answer, { status: 400, text: /no route here has `contract: prediction`/ })
})

function reportOf(nonce: string, epoch: number, label = 'Bread'): FeedbackReport {
  const claims = { route: 'food11', variant: 'candidate', label: 'Bread', epoch, at: 0, nonce }
  return { claims, expiresAt: 1000, feedback: { prediction_id: 'id', label } }
}

test('an id is spent once and remembered until it expires; what is remembered is bounded', async t => {
  let now = 0
  const ledger = createFeedbackLedger({ totals: createTotals(), now: () => now, maxRemembered: 2 })
  t.equal(ledger.spend(reportOf('a', 1)), 'counted')
  t.equal(ledger.spend(reportOf('a', 1)), 'spent')
  t.equal(ledger.spend(reportOf('b', 1)), 'counted')
  t.equal(ledger.spend(reportOf('c', 1)), 'full')
  now = 1000
  t.equal(ledger.spend(reportOf('c', 1)), 'counted')
})

test('feedback counts for the epoch of the assignment; the last eight epochs are kept', async t => {
  const totals = createTotals()
  const ledger = createFeedbackLedger({ totals, now: () => 0 })
  for (let epoch = 1; epoch <= 10; epoch++)
    ledger.spend(reportOf(`n${epoch}`, epoch, epoch % 2 ? 'Bread' : 'Egg'))
  const samples = parseExposition(totals.render([])).filter(({ name }) => name === 'weir_feedback_total')
  t.same(
    samples.map(({ labels }) => labels['epoch']),
    ['3', '4', '5', '6', '7', '8', '9', '10'],
  )
  t.match(samples[0]?.labels, { route: 'food11', variant: 'candidate', correct: 'true' })
})
