import { describeSeeds } from './held-seeds.ts'

describeSeeds('ioredis')
