/** Where a live view is drawn; `process.stdout` is one. */
export interface Terminal {
  write(text: string): boolean
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

export interface LiveView {
  /** Draws the frame over the one before. */
  draw(lines: readonly string[]): void
  /** Prints a line above the frame that stays. */
  log(line: string): void
  close(): void
}

const PLAIN_EVERY_MS = 5000

/** A frame that is redrawn in place on a terminal; where output is no terminal, its first lines every five seconds. */
export function createLiveView(terminal: Terminal, now: () => number = Date.now): LiveView {
  return terminal.isTTY ? redrawn(terminal) : plain(terminal, now)
}

function redrawn(terminal: Terminal): LiveView {
  let height = 0
  const clear = () => {
    if (height > 0) terminal.write(`\u001B[${height}A\u001B[0J`)
    height = 0
  }
  let last: readonly string[] = []
  const draw = (lines: readonly string[]) => {
    clear()
    terminal.write(lines.map(line => `${clip(line, terminal.columns ?? 100)}\n`).join(''))
    height = lines.length
    last = lines
  }
  terminal.write('\u001B[?25l') // no blinking cursor over the frame
  return {
    draw,
    log(line) {
      clear()
      terminal.write(`${line}\n`)
      draw(last)
    },
    close() {
      clear()
      terminal.write('\u001B[?25h')
    },
  }
}

function plain(terminal: Terminal, now: () => number): LiveView {
  let lastAt = -Infinity
  return {
    draw(lines) {
      if (now() - lastAt < PLAIN_EVERY_MS) return
      lastAt = now()
      terminal.write(
        `${lines
          .filter(line => line.trim() !== '')
          .slice(0, 4)
          .join('\n')}\n`,
      )
    },
    log: line => void terminal.write(`${line}\n`),
    close: () => undefined,
  }
}

/** A line that would wrap breaks the redrawing; colour codes take no room but are kept whole. */
function clip(line: string, columns: number): string {
  // oxlint-disable-next-line no-control-regex -- the escape character is what begins a colour
  const parts = line.split(/(\u001B\[[\d;]*m)/)
  let room = columns - 1
  const kept = parts.map((part, index) => {
    if (index % 2 === 1) return part
    const text = part.slice(0, Math.max(0, room))
    room -= part.length
    return text
  })
  return kept.join('')
}

/** `████░░░░` for a share of 0 to 1. */
export function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width)
  return '█'.repeat(full) + '░'.repeat(width - full)
}
