const UNITS = [
  { name: 'h', seconds: 3600 },
  { name: 'min', seconds: 60 },
  { name: 's', seconds: 1 },
] as const

/** "2 min 10 s", "1 h 57 min": the two largest units that matter, seconds in steps of ten from a minute on. */
export function inWords(seconds: number): string {
  const rounded = Math.max(0, Math.round(seconds < 60 ? seconds : Math.round(seconds / 10) * 10))
  const first = UNITS.findIndex(unit => rounded >= unit.seconds)
  const [large, small] = UNITS.slice(Math.max(0, first), first + 2)
  if (large === undefined || first < 0) return '0 s'
  const rest = small === undefined ? 0 : Math.floor((rounded % large.seconds) / small.seconds)
  const head = `${Math.floor(rounded / large.seconds)} ${large.name}`
  return rest === 0 || small === undefined ? head : `${head} ${rest} ${small.name}`
}
