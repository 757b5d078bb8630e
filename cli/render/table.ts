import { inOneLine } from './one-line.ts'

/** Columns aligned by their widest cell; numbers to the right. Rows may have fewer cells than the header. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [header, ...rows.map(row => row.map(cell => inOneLine(String(cell))))]
  const widths = header.map((_, column) => Math.max(...cells.map(row => (row[column] ?? '').length)))
  const isNumeric = header.map(
    (_, column) => rows.length > 0 && rows.every(row => typeof row[column] === 'number'),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => pad(cell, widths[column] ?? 0, isNumeric[column] ?? false))
      .join('  ')
      .trimEnd()
  return cells.map(line).join('\n')
}

function pad(text: string, width: number, right: boolean): string {
  return right ? text.padStart(width) : text.padEnd(width)
}
