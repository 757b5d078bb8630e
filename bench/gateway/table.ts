type Cell = string | number

/** Rows in columns as wide as their widest cell; the first to the left, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = [head, ...rows.map(row => row.map(String))]
  const widths = head.map((_, column) => Math.max(...cells.map(row => row[column]?.length ?? 0)))
  const lines = cells.map(row =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

export function times(value: number): string {
  return `${value.toFixed(2)}x`
}

export function ms(value: number): string {
  return value.toFixed(2)
}
