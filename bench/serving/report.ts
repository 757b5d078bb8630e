import { NAMES, type Contender } from './contenders.ts'
import type { Figures } from './figures.ts'
import { keyOf, LIMIT, type Verdict } from './targets.ts'

/** Medians by contender, one line each and number of connections. */
export function printFigures(
  figures: Figures,
  contenders: readonly Contender[],
  connections: readonly number[],
): void {
  console.log(`\n${cells('', ['connections', 'a second', 'p50 ms', 'p99 ms', 'CPU ms each', 'other'])}`)
  for (const { name, precision } of contenders) {
    const key = keyOf(name, precision)
    for (const count of connections) {
      const value = (metric: string, digits = 0) =>
        figures.median(key, `${metric} at ${count}`).toFixed(digits)
      const row = [
        String(count),
        value('rate', 1),
        value('p50'),
        value('p99'),
        value('cpu', 1),
        value('other'),
      ]
      console.log(cells(key, row))
    }
  }
  for (const precision of ['fp32', 'int8'] as const) {
    const value = (metric: string) => figures.median(keyOf(LIMIT, precision), `${metric} at 8`).toFixed(1)
    console.log(cells(keyOf(LIMIT, precision), ['', value('rate'), '', '', value('cpu'), '']))
  }
  console.log(`\n${cells('', ['ready ms', 'MiB', 'at a rate of', 'p50 ms', 'p99 ms'])}`)
  for (const { name, precision } of contenders) {
    const key = keyOf(name, precision)
    const value = (metric: string, digits = 0) => blank(figures.median(key, metric), digits)
    const paced = [value('paced rate', 1), value('paced p50'), value('paced p99')]
    console.log(cells(key, [value('ready'), value('resident'), ...paced]))
  }
  for (const precision of ['fp32', 'int8'] as const) {
    const value = (metric: string) => figures.median(keyOf(NAMES.OURS, precision), metric).toFixed(1)
    console.log(
      `${keyOf(NAMES.OURS, precision)}, every core busy: health ${value('health p50')} ms (p99 ${value('health p99')}), ` +
        `the HTTP thread computed ${value('thread busy')} ms in one go at most, and came late by ${value('thread late')} at p99`,
    )
  }
}

export function printVerdicts(verdicts: readonly Verdict[]): void {
  console.log('')
  for (const { target, measured, met } of verdicts) {
    const word = met === undefined ? 'not measured' : met ? 'met' : 'NOT MET'
    console.log(`${target.padEnd(80)}${(met === undefined ? '' : measured).padEnd(36)}${word}`)
  }
}

function cells(name: string, values: readonly string[]): string {
  return name.padEnd(30) + values.map(value => value.padStart(13)).join('')
}

function blank(value: number, digits: number): string {
  return Number.isNaN(value) ? '' : value.toFixed(digits)
}
