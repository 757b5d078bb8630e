import { z } from 'zod'

// How people write quantities in our YAML files; inside, they are plain numbers with the unit in the name.

/** "5m", "1.5h", "30s", "250ms" → milliseconds. */
export const durationMs = z
  .string()
  .regex(/^\d+(\.\d+)?(ms|s|m|h)$/, 'must be a duration such as 250ms, 30s, 5m or 2h')
  .transform(text => {
    const unit = text.endsWith('ms') ? 'ms' : text.slice(-1)
    return Number.parseFloat(text) * (MS_PER_UNIT[unit] ?? Number.NaN)
  })

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** "0.5pp" (percentage points) → a fraction, 0.005. */
export const percentagePoints = z
  .string()
  .regex(/^\d+(\.\d+)?pp$/, 'must be percentage points such as 0.5pp')
  .transform(text => Number.parseFloat(text) / 100)
  .refine(fraction => fraction > 0 && fraction <= 1, 'must be above 0pp and at most 100pp')

/** Percent with at most two decimals, 0 to 100. */
export const percent = z
  .number()
  .min(0)
  .max(100)
  .refine(value => Math.abs(value * 100 - Math.round(value * 100)) < 1e-9, 'must have at most two decimals')

/** "64MiB", "512KiB", or a number of bytes → bytes. */
export const byteSize = z.union([
  z.int().min(0),
  z
    .string()
    .regex(/^\d+(\.\d+)?(B|KiB|MiB|GiB)$/, 'must be a size such as 64KiB, 32MiB or 1GiB')
    .transform(text =>
      Math.round(Number.parseFloat(text) * (BYTES_PER_UNIT[text.replace(/^[\d.]+/, '')] ?? Number.NaN)),
    ),
])

const BYTES_PER_UNIT: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }
