import type { PipelineView } from '../../contract/pipeline.ts'
import { table } from './table.ts'

/** All runs as a table, newest first. */
export function pipelineTable(runs: readonly PipelineView[]): string {
  const rows = runs.map(({ id, model, modelVersion, phase, trigger, startedBy, startedAt, message }) => [
    id,
    `${model} ${modelVersion}`,
    phase,
    `${trigger}, ${startedBy}`,
    startedAt,
    message,
  ])
  return table(['RUN', 'VERSION', 'PHASE', 'BY', 'STARTED', 'STATE'], rows)
}

/** One run with its steps. */
export function describePipeline(run: PipelineView): string {
  const { id, model, modelVersion, digest, trigger, startedBy, phase, message } = run
  return [
    `${id}: ${phase} (${message})`,
    `${model} version ${modelVersion}, ${digest}; started by ${startedBy} (${trigger})`,
    '',
    stepTable(run),
  ].join('\n')
}

export function stepTable({ steps }: PipelineView): string {
  const rows = steps.map(({ name, status, startedAt, endedAt, message, when }) => [
    name,
    status,
    tookOf(startedAt, endedAt),
    message === '' && when !== null ? `when ${when}` : message,
  ])
  return table(['STEP', 'STATUS', 'TOOK', 'WHY'], rows)
}

function tookOf(startedAt: string | null, endedAt: string | null): string {
  if (startedAt === null || endedAt === null) return ''
  return `${((Date.parse(endedAt) - Date.parse(startedAt)) / 1000).toFixed(1)} s`
}
