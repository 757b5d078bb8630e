/** Columns aligned by their widest cell; numbers to the right. Rows may have fewer cells than the header. */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [header, ...rows.map(row => row.map(String))]
  const widths = header.map((_, column) => Math.max(...cells.map(row => visibleLength(row[column] ?? ''))))
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
  const space = ' '.repeat(Math.max(0, width - visibleLength(text)))
  return right ? space + text : text + space
}

/** Terminal colours take no room. */
function visibleLength(text: string): number {
  return text.replaceAll(ANSI_COLOUR, '').length
}

// oxlint-disable-next-line no-control-regex -- the escape character is what begins a colour
const ANSI_COLOUR = /\u001B\[[\d;]*m/g
