import { test } from 'tap'
import type { RawHead } from '../../gateway/upstream/answer-head.ts'
import { AnswerParser } from '../../gateway/upstream/answer-parser.ts'

/** What a parser makes of bytes that come in these pieces. */
function parse(pieces: readonly string[], method = 'GET', closes = false) {
  const seen = { status: 0, headers: [] as readonly string[], body: '', end: '', keepAlive: false }
  const parser = new AnswerParser({
    onAnswerHead({ status, headers, keepAlive }: RawHead) {
      Object.assign(seen, { status, headers, keepAlive })
    },
    onAnswerData: chunk => void (seen.body += chunk.toString('latin1')),
    onAnswerEnd: surplus => void (seen.end = surplus ? 'surplus' : 'clean'),
    onInvalid: () => void (seen.end = 'invalid'),
  })
  parser.expect(method)
  for (const piece of pieces) parser.push(Buffer.from(piece, 'latin1'))
  if (closes) parser.close()
  return seen
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

const WHOLE: Record<string, { bytes: string; body: string; method?: string; closes?: boolean }> = {
  'a length': { bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', body: 'hello' },
  'no body': { bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', body: '' },
  chunks: { bytes: `${CHUNKED}3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n`, body: 'hello' },
  'chunks with extensions and trailers': {
    bytes: `${CHUNKED}5;a="b"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n`,
    body: 'hello',
  },
  'informational answers first': {
    bytes:
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    body: 'ok',
  },
  'an end by closing': { bytes: 'HTTP/1.0 200 OK\r\n\r\nhello', body: 'hello', closes: true },
  'a length that HEAD only tells': {
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
    body: '',
    method: 'HEAD',
  },
  'no reason phrase': { bytes: 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok', body: 'ok' },
}

for (const [name, { bytes, body, method, closes }] of Object.entries(WHOLE)) {
  test(`${name}: read alike however the bytes are cut`, async t => {
    t.match(parse([bytes], method, closes), { body, end: 'clean' }, 'in one piece')
    t.match(parse([...bytes], method, closes), { body, end: 'clean' }, 'byte by byte')
    for (let at = 1; at < bytes.length; at++)
      t.match(parse([bytes.slice(0, at), bytes.slice(at)], method, closes), { body, end: 'clean' })
  })
}

const REFUSED: Record<string, string> = {
  'another protocol': 'SSH-2.0-OpenSSH\r\n',
  'another version': 'HTTP/2.0 200 OK\r\n\r\n',
  'a status of two digits': 'HTTP/1.1 20 OK\r\n\r\n',
  'a length and chunks': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n',
  'a list of lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n',
  'a negative length': 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n',
  'a coding under the chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
  'a folded header': 'HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n',
  'a space before the colon': 'HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n',
  'a bare LF': 'HTTP/1.1 200 OK\r\nX-A: b\nX-B: c\r\n\r\n',
  'a NUL in a value': 'HTTP/1.1 200 OK\r\nX-A: b\0c\r\n\r\n',
  'a line that is no header': 'HTTP/1.1 200 OK\r\nnonsense\r\n\r\n',
  'a switch of protocols nobody asked for': 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'a chunk size that is no number': `${CHUNKED}zz\r\n`,
  'a chunk longer than its size': `${CHUNKED}2\r\nhello\r\n`,
  'an endless size line': `${CHUNKED}1;${'x'.repeat(2000)}`,
  'endless trailers': `${CHUNKED}0\r\n${'X-A: b\r\n'.repeat(5000)}`,
  'an endless head': `HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(5000)}`,
}

for (const [name, bytes] of Object.entries(REFUSED)) {
  test(`${name}: refused, in one piece and byte by byte`, async t => {
    t.equal(parse([bytes]).end, 'invalid')
    t.equal(parse([...bytes]).end, 'invalid')
  })
}

test('what comes after the answer is told: nobody asked for it', async t => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  t.equal(parse([answer + answer]).end, 'surplus')
  t.equal(parse([`${CHUNKED}0\r\n\r\nHTTP/1.1`]).end, 'surplus')
  t.equal(parse(['HTTP/1.1 204 No Content\r\n\r\nx']).end, 'surplus')
})

test('header values lose the blanks around them and nothing else', async t => {
  const { headers } = parse(['HTTP/1.1 204 No Content\r\nX-A:\t à \t\r\nx-b:\r\n\r\n'])
  t.same(headers, ['x-a', 'à', 'x-b', ''])
  t.same(parse(['HTTP/1.1 204 N\r\nX-A: \xc3\xa0\r\n\r\n']).headers, ['x-a', '\xc3\xa0'])
})

test('a connection is kept as both versions of HTTP say', async t => {
  const keepAlive = (head: string) => parse([`${head}\r\nContent-Length: 0\r\n\r\n`]).keepAlive
  t.equal(keepAlive('HTTP/1.1 200 OK'), true)
  t.equal(keepAlive('HTTP/1.1 200 OK\r\nConnection: x-a, Close'), false)
  t.equal(keepAlive('HTTP/1.0 200 OK'), false)
  t.equal(keepAlive('HTTP/1.0 200 OK\r\nConnection: Keep-Alive'), true)
})

test('an answer that its length or chunks would end is cut short by closing', async t => {
  t.equal(parse(['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe'], 'GET', true).end, '')
  t.equal(parse([`${CHUNKED}5\r\nhe`], 'GET', true).end, '')
})
