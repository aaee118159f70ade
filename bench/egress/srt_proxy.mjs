// sandbox-runtime's own proxy with TLS termination, as its sandbox manager sets it up, but without the sandbox and
// without the socat bridges before it: srt_proxy.mjs PACKAGE PORT CA-OUT UPSTREAM-CA DOMAIN. Prints "ready".
import fs from 'node:fs'
const [home, port, caOut, upstreamCA, domain] = process.argv.slice(2)
const { createHttpProxyServer } = await import(`${home}/dist/sandbox/http-proxy.js`)
const { createMitmCA } = await import(`${home}/dist/sandbox/mitm-ca.js`)
const mitmCA = createMitmCA({})
fs.writeFileSync(caOut, mitmCA.certPem)
const server = createHttpProxyServer({
  filter: (_, host) => host.endsWith(domain),
  // What a grant judges: the method and the path.
  filterRequest: async request =>
    ['GET', 'POST'].includes(request.method) && new URL(request.url).pathname.startsWith('/')
      ? { action: 'allow' }
      : { action: 'deny', reason: 'not granted' },
  mitmCA,
  maxTerminatedTunnels: 4096,
  tlsTerminateUpstreamCA: fs.readFileSync(upstreamCA),
})
server.listen(Number(port), '127.0.0.1', () => console.log('ready'))
