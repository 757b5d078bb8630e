import { z } from 'zod'
import { headerName, headerValue } from './policy.ts'
import { percent } from './units.ts'

// An experiment: users are dealt to versions, and decide by what they report or do.

const share = percent.refine(value => value > 0 && value < 100, 'must be between 0 and 100')

/** A version beside the rollout's own. */
const arm = z.strictObject({
  version: z.string().regex(/^[\w.-]{0,58}[A-Za-z0-9]$/, 'must be the name of a version'),
  /** Its share of users, percent. */
  weight: share.optional(),
})

/** Who gets which version is not drawn, but said by a header, such as language or region. */
const by = z.strictObject({
  header: headerName,
  /** By variant: `candidate` and `arm-VERSION`; whoever brings none of these values keeps stable. */
  values: z.record(z.string(), z.array(headerValue).min(1).max(100)),
})

export const ab = z
  .strictObject({
    /** The candidate's share of users, percent; the others keep stable, the control. By default all arms get as many. */
    weight: share.optional(),
    arms: z.array(arm).max(8).default([]),
    /** In place of the route's sticky key, and of weights. */
    by: by.optional(),
    /** What counts as success: a prediction whose true label was reported to be right, or a named outcome of one. */
    goal: z.union([
      z.strictObject({ label: z.literal('correct') }),
      z.strictObject({
        outcome: z.string().regex(/^[a-z][a-z0-9_]{0,49}$/, 'must be the name of an outcome'),
      }),
    ]),
    /** A person approves the promotion of a winner. */
    approval: z.boolean().default(false),
  })
  .superRefine((given, context) => {
    for (const { path, message } of findContradictions(given))
      context.addIssue({ code: 'custom', path, message, input: given })
  })
export type Ab = z.infer<typeof ab>

/** The variants that an experiment compares with stable, the rollout's own version first. */
export function armVariants({ arms }: Pick<Ab, 'arms'>): readonly string[] {
  return ['candidate', ...arms.map(({ version }) => armVariant(version))]
}

/** The variant in which a further version runs. */
function armVariant(version: string): string {
  return `arm-${version.toLowerCase()}`
}

/** Each arm's share in hundredths of a percent, in the order of `armVariants`; 0 where a header decides. */
export function armSharesBp({
  weight,
  arms,
  by: header,
}: Pick<Ab, 'weight' | 'arms' | 'by'>): readonly number[] {
  const given = [weight, ...arms.map(one => one.weight)]
  const equal = Math.floor(10_000 / (given.length + 1))
  return given.map(percents => (header ? 0 : percents === undefined ? equal : Math.round(percents * 100)))
}

interface Contradiction {
  readonly path: (string | number)[]
  readonly message: string
}

function findContradictions(given: Ab): Contradiction[] {
  const variants = armVariants(given)
  const twice = variants.findIndex((variant, index) => variants.indexOf(variant) < index)
  const sumBp = armSharesBp(given).reduce((sum, bp) => sum + bp, 0)
  const weighted = [given.weight, ...given.arms.map(one => one.weight)].some(weight => weight !== undefined)
  return [
    ...(twice > 0 ? [{ path: ['arms', twice - 1, 'version'], message: 'is an arm already' }] : []),
    ...(sumBp >= 10_000
      ? [
          {
            path: ['arms'],
            message: `the arms take ${sumBp / 100} %; stable, the control, needs a share, too`,
          },
        ]
      : []),
    ...(given.by && weighted
      ? [{ path: ['by'], message: 'a header decides who gets which version, so there are no weights' }]
      : []),
    ...(given.by ? brokenValues(given.by.values, variants) : []),
  ]
}

function brokenValues(values: Readonly<Record<string, readonly string[]>>, variants: readonly string[]) {
  const path = ['by', 'values']
  const all = Object.values(values).flat()
  const repeated = new Set(all.filter((value, index) => all.indexOf(value) < index))
  return [
    ...variants
      .filter(variant => values[variant] === undefined)
      .map(variant => ({ path, message: `says nobody who gets ${variant}` })),
    ...Object.keys(values)
      .filter(variant => variant !== 'stable' && !variants.includes(variant))
      .map(variant => ({ path: [...path, variant], message: `there is no arm "${variant}"` })),
    ...[...repeated].map(value => ({ path, message: `"${value}" is named twice` })),
  ]
}
