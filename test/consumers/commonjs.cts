// Compiles as CommonJS: Node 22 can `require` a module.
import client = require('acestream-orchestrator-client')
import redis = require('acestream-orchestrator-client/redis')
import sqlite = require('acestream-orchestrator-client/sqlite')
import testing = require('acestream-orchestrator-client/testing')

const fake: testing.FakeOrchestrator = new testing.FakeOrchestrator()
const made: client.OrchestratorClient = new client.OrchestratorClient({ baseUrl: 'http://orchestrator:8000', transport: fake })
const stores: (abstract new (...args: never[]) => client.StateStore)[] = [redis.RedisStore, sqlite.SqliteStore]
const reasonOf = (error: unknown) => (error instanceof client.OrchestratorError && error.code === 'CAPACITY' ? error.reason : undefined)

export = { made, stores, reasonOf }
