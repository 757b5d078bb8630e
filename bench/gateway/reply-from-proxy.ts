import replyFrom from '@fastify/reply-from'
import fastify from 'fastify'

// @fastify/reply-from as its documentation sets it up, bodies passed through as streams: a peer of the bench.
// node bench/gateway/reply-from-proxy.ts PORT UPSTREAM

const [, , port = '0', upstream = ''] = process.argv
const app = fastify()
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
await app.register(replyFrom, { base: upstream, undici: { connections: 128, pipelining: 1 } })
app.all('/*', (_request, reply) => reply.from())
await app.listen({ port: Number(port), host: '127.0.0.1' })
