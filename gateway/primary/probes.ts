/** Whether an endpoint answers: anything below 500 is an answer, so that a server without the probed path is healthy too. */
export async function probeOnce(url: string, timeoutMs: number, stop: AbortSignal): Promise<boolean> {
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { 'user-agent': 'weir-probe', connection: 'close' },
      signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), stop]),
    })
    await response.body?.cancel()
    return response.status < 500
  } catch {
    return false // refused, reset, too slow: all the same here
  }
}
