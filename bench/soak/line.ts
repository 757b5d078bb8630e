/** The least-squares line through values at equal distances, and the standard deviation of what it leaves. */
export function fitLine(values: readonly number[]): { perStep: number; noise: number } {
  const count = values.length
  const middle = (count - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / count
  const covariance = values.reduce((sum, value, at) => sum + (at - middle) * (value - mean), 0)
  const variance = values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0)
  const perStep = covariance / variance
  const squares = values.reduce((sum, value, at) => sum + (value - mean - perStep * (at - middle)) ** 2, 0)
  return { perStep, noise: Math.sqrt(squares / count) }
}
