let tasks: (() => void)[] = []

/**
 * Does it at the end of this turn of the event loop, together with what else was put off until then. Meant for writes to sockets:
 * a write wakes whoever reads at the other end; of writes one after another all but the first find it awake, and those cost a
 * fraction.
 */
export function atTurnEnd(task: () => void): void {
  if (tasks.push(task) === 1) setImmediate(runAll)
}

function runAll(): void {
  const due = tasks
  tasks = []
  for (const task of due) task()
}
