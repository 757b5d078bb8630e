// multipart/form-data (RFC 7578) as a stream: a part is given out as it arrives, so that files may be larger than the memory.

export class MultipartError extends Error {}

export interface Part {
  /** The field's name, as it was sent. */
  readonly name: string
  /** Whether it was sent as a file, with a file name, and not as the text of a field. */
  readonly isFile: boolean
  readonly content: AsyncIterable<Uint8Array>
}

const HEADERS_LIMIT_BYTES = 16 * 1024
const MAX_BOUNDARY_LENGTH = 70 // RFC 2046, 5.1.1
const CUT_SHORT = 'the form is cut short'

/** The parts in order. Whatever is not read of one is passed over. Throws MultipartError when this is no such form. */
export async function* readParts(
  body: AsyncIterable<Uint8Array>,
  contentType: string,
): AsyncGenerator<Part, void, void> {
  const delimiter = Buffer.from(`\r\n--${boundaryOf(contentType)}`)
  const reader = createReader(body)
  await passOver(reader.until(delimiter)) // a preamble, which nobody reads
  while (!(await isLast(reader))) {
    const content = reader.until(delimiter)
    yield { ...describe(await reader.headers()), content }
    await passOver(content)
  }
}

function boundaryOf(contentType: string): string {
  const [, quoted, plain] =
    /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType) ?? []
  const boundary = quoted ?? plain ?? ''
  if (boundary !== '' && boundary.length <= MAX_BOUNDARY_LENGTH) return boundary
  throw new MultipartError('the content type names no usable boundary')
}

/** After a delimiter: two hyphens end the form, a line break begins a part. White space may come before it. */
async function isLast(reader: Reader): Promise<boolean> {
  const next = await reader.take(2)
  if (next === '--') return true
  let line = next
  while (!line.endsWith('\r\n')) {
    if (!/^[ \t]*\r?$/.test(line) || line.length > MAX_BOUNDARY_LENGTH)
      throw new MultipartError('a boundary is followed by something else')
    line += await reader.take(1)
  }
  return false
}

function describe(headers: string): Pick<Part, 'name' | 'isFile'> {
  const disposition = /^content-disposition:[ \t]*form-data[ \t]*;(.*)$/im.exec(headers)?.[1]
  const [, quoted, plain] = /(?:^|;)[ \t]*name=(?:"([^"]*)"|([^\s;"]+))/i.exec(disposition ?? '') ?? []
  const name = quoted ?? plain
  if (name !== undefined) return { name, isFile: /;[ \t]*filename\*?=/i.test(disposition ?? '') }
  throw new MultipartError('a part has no name')
}

type Reader = ReturnType<typeof createReader>

function createReader(body: AsyncIterable<Uint8Array>) {
  const source = body[Symbol.asyncIterator]()
  let held = Buffer.from('\r\n') // the first delimiter may stand at the very beginning

  async function more(): Promise<void> {
    const { value, done } = await source.next()
    if (done === true) throw new MultipartError(CUT_SHORT)
    held = Buffer.concat([held, value])
  }

  async function take(count: number): Promise<string> {
    while (held.length < count) await more()
    const taken = held.toString('latin1', 0, count)
    held = held.subarray(count)
    return taken
  }

  return {
    take,
    /** What comes before the delimiter, which is passed over, too. */
    async *until(delimiter: Buffer): AsyncGenerator<Uint8Array, void, void> {
      for (;;) {
        const at = held.indexOf(delimiter)
        const count = at >= 0 ? at : Math.max(0, held.length - delimiter.length + 1)
        const content = held.subarray(0, count)
        held = held.subarray(at >= 0 ? at + delimiter.length : count)
        if (count > 0) yield content
        if (at >= 0) return
        await more()
      }
    },
    async headers(): Promise<string> {
      for (;;) {
        const end = held.indexOf('\r\n\r\n')
        const tooLong = (end === -1 ? held.length : end) > HEADERS_LIMIT_BYTES
        if (tooLong) throw new MultipartError('the headers of a part are too long')
        if (end >= 0) return (await take(end + 4)).slice(0, end)
        await more()
      }
    },
  }
}

async function passOver(content: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of content); // oxlint-disable-line no-unused-vars -- read only to get past it
}
