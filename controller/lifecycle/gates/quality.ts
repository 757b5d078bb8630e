import { prediction } from '../../../contract/prediction.ts'
import type { QualitySettings } from '../../../contract/gate.ts'
import type { Clock } from '../../../lib/clock.ts'
import { createGate, requireExactly, type Gate, type Measured } from './gate.ts'
import { findLabelledPhotos, type LabelledPhoto } from './labelled-photos.ts'
import { askAgain, inParallel, photoRequest } from './serving-request.ts'
import { signTest } from './sign-test.ts'

const AT_A_TIME = 4
/** With fewer photos a difference of a few points may be chance, and must be shown not to be. */
const ENOUGH_PHOTOS = 200
const SIGNIFICANT = 0.05

/** Whether it knows the photos as well as production does; both are asked for the same ones. */
export function createQualityGate(settings: QualitySettings, clock: Clock): Gate {
  return createGate('quality', clock, async (subject, signal) => {
    const { manifest, production } = subject
    const folder = settings.photos ?? subject.samples
    const photos = await findLabelledPhotos(folder, manifest.labels ?? [])
    const answered = await inParallel(photos, AT_A_TIME, async (photo, index) => {
      const isRight = (endpoints: readonly string[]) => rightAnswer(endpoints, photo, { index, signal })
      const candidate = await isRight(subject.endpoints)
      return { candidate, production: production && (await isRight(production.endpoints)) }
    })
    if (production) await requireExactly(production, production.endpoints)
    return judgeQuality({ answered, productionVersion: production?.version ?? null, settings })
  })
}

/** Throws when the photo gets no prediction. */
async function rightAnswer(
  endpoints: readonly string[],
  { path, file, label }: LabelledPhoto,
  { index, signal }: { readonly index: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const endpoint = endpoints[index % endpoints.length] ?? ''
  const { status, body } = await askAgain(endpoint, await photoRequest(path), signal)
  const parsed = prediction.safeParse(body)
  if (status === 200 && parsed.success) return parsed.data.label === label
  throw new Error(`${endpoint} answered ${status} to ${file}, which is no prediction`)
}

export interface Answered {
  /** Whether it was right about a photo. */
  readonly candidate: boolean
  /** Null: nothing is in production. */
  readonly production: boolean | null
}

export interface QualityFacts {
  readonly answered: readonly Answered[]
  readonly productionVersion: string | null
  readonly settings: Pick<QualitySettings, 'below' | 'atLeast'>
}

export function judgeQuality({ answered, productionVersion, settings }: QualityFacts): Measured {
  const photos = answered.length
  const count = (fits: (one: Answered) => boolean) => answered.filter(fits).length
  const correct = count(one => one.candidate)
  const accuracy = correct / photos
  const right = count(one => one.production === true)
  const onlyProduction = count(one => one.production === true && !one.candidate)
  const onlyCandidate = count(one => one.production === false && one.candidate)
  const drop = (right - correct) / photos
  const isLower = productionVersion !== null && drop > settings.below
  const pValue = isLower && photos < ENOUGH_PHOTOS ? signTest(onlyProduction, onlyCandidate) : null
  const production =
    productionVersion === null
      ? null
      : { version: productionVersion, correct: right, accuracy: right / photos }
  const counted = { photos, correct, accuracy, production, onlyProduction, onlyCandidate, pValue }
  const evidence = { gate: 'quality', ...counted } as const
  const own = `${correct} of ${photos} photos right (${inPercent(accuracy)})`
  const { atLeast = 0 } = settings
  if (accuracy < atLeast)
    return { verdict: 'fail', reason: `${own}, at least ${inPercent(atLeast)} is asked for`, evidence }
  if (production === null)
    return { verdict: 'pass', reason: `${own}; nothing is in production to compare with`, evidence }
  const both = `${own}, production (version ${production.version}) ${production.correct} (${inPercent(production.accuracy)})`
  if (!isLower) return { verdict: 'pass', reason: both, evidence }
  const lower = `${both}: ${inPoints(drop)} lower, ${inPoints(settings.below)} are allowed`
  if (pValue === null) return { verdict: 'fail', reason: lower, evidence }
  const sure = `${onlyProduction} only production knows, ${onlyCandidate} only this one (sign test p = ${pValue.toPrecision(2)}, limit ${SIGNIFICANT})`
  return pValue <= SIGNIFICANT
    ? { verdict: 'fail', reason: `${lower}; ${sure}`, evidence }
    : { verdict: 'pass', reason: `${lower}, which may be chance: ${sure}`, evidence }
}

function inPercent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`
}

function inPoints(share: number): string {
  return `${Number((share * 100).toFixed(2))} points`
}
