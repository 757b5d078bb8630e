import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { findPhotos } from './serving/photos.ts'
import { writeVariants } from './serving/photo-variants.ts'
import { compareWithReference, type Comparison } from './serving/reference.ts'

// npm run bench -- parity --photos DIR [--photos DIR] --python FILE [--model DIR]: our input tensors and labels beside those of
// torchvision, Pillow and onnxruntime in Python, on photos as they are and on enlarged, rotated and Display-P3 copies of some.
// Exit code 1 when a limit is not held.

const { values } = parseArgs({
  options: {
    photos: { type: 'string', multiple: true, default: ['models/food11/samples'] },
    model: { type: 'string', default: 'models/food11/1' },
    /** A Python with torchvision, Pillow and onnxruntime. */
    python: { type: 'string' },
    /** Every so many photos get copies. */
    every: { type: 'string', default: '40' },
  },
})

const MAX_DIFFERENCE = 0.005
const MAX_DIFFERENCE_OF_COPIES = 0.02
const MIN_AGREEMENT = 0.995

if (values.python === undefined) {
  console.log('skipped: parity needs --python FILE, a Python with torchvision, Pillow and onnxruntime')
} else {
  await measure(values.python)
}

async function measure(python: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'weir-parity-'))
  try {
    const rows: Row[] = []
    const originals: string[] = []
    for (const folder of values.photos) {
      const photos = await findPhotos(folder)
      originals.push(...photos)
      rows.push(await row(folder, photos, { python, limit: MAX_DIFFERENCE }))
    }
    const chosen = originals.filter((_, index) => index % Number(values.every) === 0)
    for (const [name, copies] of await writeVariants(chosen, scratch)) {
      rows.push(await row(name, copies, { python, limit: MAX_DIFFERENCE_OF_COPIES }))
    }
    report(rows)
  } finally {
    await rm(scratch, { recursive: true })
  }
}

interface Row extends Comparison {
  readonly name: string
  readonly limit: number
}

async function row(
  name: string,
  photos: readonly string[],
  by: { python: string; limit: number },
): Promise<Row> {
  const comparison = await compareWithReference({ photos, modelFolder: values.model, python: by.python })
  return { name, limit: by.limit, ...comparison }
}

function report(rows: readonly Row[]): void {
  console.log('photos                                     number   mean diff.   largest   limit   same label')
  for (const { name, photos, meanDifference, maxDifference, limit, agreement } of rows) {
    const figures = [
      String(photos).padStart(8),
      meanDifference.toFixed(4).padStart(12),
      maxDifference.toFixed(4).padStart(9),
      String(limit).padStart(7),
      `${(100 * agreement).toFixed(1)} %`.padStart(12),
    ]
    console.log(name.slice(-40).padEnd(41) + figures.join(' '))
  }
  const total = rows.reduce((sum, { photos }) => sum + photos, 0)
  const agreement = rows.reduce((sum, row) => sum + row.agreement * row.photos, 0) / total
  console.log(`same label over all: ${(100 * agreement).toFixed(2)} % (at least ${100 * MIN_AGREEMENT} %)`)
  const held =
    agreement >= MIN_AGREEMENT && rows.every(({ meanDifference, limit }) => meanDifference <= limit)
  console.log(held ? 'every limit is held' : 'A LIMIT IS NOT HELD')
  if (!held) process.exitCode = 1
}
