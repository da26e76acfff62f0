import { freePort, RedisServer, until } from './redis-server.ts'

const SLOTS = 16_384

/** Starts a cluster of three servers, each with a third of the slots. */
export async function startCluster(env: Readonly<Record<string, string>> = {}): Promise<readonly RedisServer[]> {
  const servers: RedisServer[] = []
  for (let i = 0; i < 3; i += 1) {
    // The default port between servers is 10,000 above the server's own port, which can be more than 65,535.
    const busPort = await freePort()
    const extra = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)]
    const server = await RedisServer.start({ extra, env })
    servers.push(server)
    await server.command(`CLUSTER SET-CONFIG-EPOCH ${i + 1}`)
    const [from, to] = [Math.ceil((i * SLOTS) / 3), Math.ceil(((i + 1) * SLOTS) / 3) - 1]
    await server.command(`CLUSTER ADDSLOTSRANGE ${from} ${to}`)
    await servers[0]?.command(`CLUSTER MEET 127.0.0.1 ${server.port} ${busPort}`)
  }
  const isComplete = async (server: RedisServer): Promise<boolean> => {
    const info = await server.command('CLUSTER INFO')
    return info.includes('cluster_state:ok') && info.includes('cluster_size:3')
  }
  for (const server of servers) await until(() => isComplete(server))
  return servers
}
