export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Requests a second by proxy and load, with our share of each peer's. */
export function ratioTable(
  peers: readonly string[],
  loads: readonly string[],
  rates: ReadonlyMap<string, number>,
): string {
  const rate = (peer: string, load: string) => rates.get(`${peer} ${load}`) ?? Number.NaN
  const rows = peers.map(peer =>
    [
      peer.padEnd(12),
      ...loads.map(load => {
        const ours = rate('weir', load) / rate(peer, load)
        return `${Math.round(rate(peer, load)).toString().padStart(8)} (weir ${ours.toFixed(2)}x)`.padEnd(26)
      }),
    ].join(''),
  )
  return `${['req/s'.padEnd(12), ...loads.map(load => load.padEnd(26))].join('')}\n${rows.join('\n')}\n`
}
