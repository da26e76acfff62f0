import { describeSeeds } from './held-seeds.ts'

describeSeeds('node-redis')
